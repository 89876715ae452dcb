#include "answer.h"

#include <unistd.h>

#include <iostream>
#include <optional>
#include <string_view>

#include "interrupt.h"
#include "output.h"

namespace groma::cli {
namespace {

/// `text` without characters that a terminal would obey.
std::string printable(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) c = '?';
  }
  return result;
}

}  // namespace

ChatResult ask(Session& session, const Image& image, const std::string& prompt,
               const std::vector<Box>& boxes, const AnswerArgs& args) {
  const bool stream = !args.json && isatty(STDOUT_FILENO);
  std::optional<StoppableAnswer> stoppable;
  if (args.interactive) stoppable.emplace();
  auto options = args.options;
  options.on_text = [&](std::string_view piece) {
    if (!stoppable) stoppable.emplace();
    if (stream) std::cout << printable(piece) << std::flush;
    return interrupts() == 0;
  };
  auto answer = session.chat(prompt, boxes, options);

  if (args.json) {
    std::cout << to_json(answer, image) << std::endl;
    return answer;
  }
  if (!stream) std::cout << answer.text;
  std::cout << std::endl;
  list_phrases(std::cerr, answer);
  if (answer.finish == Finish::kLength) {
    std::cerr << "(cut off after " << answer.generated_ids.size() << " tokens; -n allows more)\n";
  }
  return answer;
}

}  // namespace groma::cli
