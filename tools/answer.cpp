#include "answer.h"

#include <unistd.h>

#include <functional>
#include <iostream>
#include <optional>
#include <string_view>

#include "check.h"
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

/// Asks what is ready and does with the answer what `args` ask for.
void complete(ImageAnswer& answered, Session& session, const Image& image,
              const ReadyQuestion& ready, const AnswerArgs& args,
              const std::function<bool(std::string_view)>& on_text) {
  auto options = args.options;
  options.on_text = on_text;
  answered.answer = session.chat(ready.prompt, ready.boxes, options);
  answered.calibration = args.calibration;
  drop_unsure(answered.answer, args.calibration, args.min_score);
  if (args.masks) add_masks(answered, image);
}

}  // namespace

ImageAnswer about(const std::string& file, const Image& image, const std::string& prompt) {
  return {file, image.width(), image.height(), prompt, {}};
}

ImageAnswer ask_silently(Session& session, const Image& image, const std::string& file,
                         const std::string& prompt, const PointingArgs& pointing,
                         const AnswerArgs& args) {
  const StoppableAnswer stoppable;
  auto answered = about(file, image, prompt);
  auto ready = make_ready(session, image, prompt, pointing);
  answered.referents = std::move(ready.referents);
  complete(answered, session, image, ready, args,
           [](std::string_view) { return interrupts() == 0; });
  return answered;
}

void print_format(const std::vector<ImageAnswer>& answers, Format format,
                  const std::string& label) {
  const auto files = to_format(answers, format, label);
  require(files.size() == 1, "print the answer: this format is ", files.size(),
          " files; name a folder for them with --out");
  std::cout << files.front().text << std::flush;
}

ImageAnswer ask(Session& session, const Image& image, const std::string& file,
                const std::string& prompt, const PointingArgs& pointing, const AnswerArgs& args) {
  const bool stream = !args.format && isatty(STDOUT_FILENO);
  std::optional<StoppableAnswer> stoppable;
  if (args.interactive) stoppable.emplace();
  const auto on_text = [&](std::string_view piece) {
    if (!stoppable) stoppable.emplace();
    if (stream) std::cout << printable(piece) << std::flush;
    return interrupts() == 0;
  };
  auto answered = about(file, image, prompt);
  auto ready = make_ready(session, image, prompt, pointing);
  answered.referents = std::move(ready.referents);
  list_referents(std::cerr, answered.referents);
  complete(answered, session, image, ready, args, on_text);
  const auto& answer = answered.answer;

  if (args.format) {
    print_format({answered}, *args.format, args.label);
    return answered;
  }
  if (is_wordless(answer)) {
    list_phrases(std::cout, answer);
  } else {
    if (!stream) std::cout << answer.text;
    std::cout << std::endl;
    list_phrases(std::cerr, answer);
  }
  if (args.show) show_picture(drawn(image, answered), *args.show);
  if (answer.finish == Finish::kLength) {
    std::cerr << "(cut off after " << answer.generated_ids.size() << " tokens; -n allows more)\n";
  }
  return answered;
}

}  // namespace groma::cli
