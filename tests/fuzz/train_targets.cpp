#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "train/instruct.h"
#include "train/recipe.h"

namespace groma::fuzz {

/// Lines of a service about one picture with two boxes.
void conversations(std::string_view input) {
  if (memory_runs_out()) return;  // it writes through trees of JSON
  write_scratch("regions.jsonl",
                R"({"id":"1","image":"a.png","width":9,"height":6,"boxes":[[0,0,4,6],[4,0,9,6]]})");
  write_scratch("answers.jsonl", input);
  const auto& folder = scratch_folder();
  accepted([&] {
    const auto result =
        train::read_instruct(folder, folder + "/answers.jsonl", folder + "/chat.jsonl",
                             [](const std::string& why) { check_message(why); });
    promise(result.kept == 1, "a request has one answer");
    promise(result.missing == 0, "what is answered is not missing");
  });
}

void recipe(std::string_view input) {
  const MemoryFile file(input);
  accepted([&] {
    const auto recipe = train::read_recipe(file.path());
    promise(recipe.batch > 0 && recipe.accumulate > 0, "steps have pictures");
    promise(train::recipe_changes(recipe.text, recipe.text).empty(), "a recipe equals itself");
  });
}

}  // namespace groma::fuzz
