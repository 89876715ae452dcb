#include "answer.h"

#include <unistd.h>

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

}  // namespace

ImageAnswer about(const std::string& file, const Image& image, const std::string& prompt) {
  return {file, image.width(), image.height(), prompt, {}};
}

ImageAnswer ask_silently(Session& session, const ImageAnswer& about, const std::vector<Box>& boxes,
                         const ChatOptions& options) {
  const StoppableAnswer stoppable;
  auto answered = about;
  auto stopped_by_user = options;
  stopped_by_user.on_text = [](std::string_view) { return interrupts() == 0; };
  answered.answer = session.chat(about.prompt, boxes, stopped_by_user);
  return answered;
}

void print_format(const std::vector<ImageAnswer>& answers, Format format,
                  const std::string& label) {
  const auto files = to_format(answers, format, label);
  require(files.size() == 1, "print the answer: this format is ", files.size(),
          " files; name a folder for them with --out");
  std::cout << files.front().text << std::flush;
}

ImageAnswer ask(Session& session, const ImageAnswer& about, const std::vector<Box>& boxes,
                const AnswerArgs& args) {
  const bool stream = !args.format && isatty(STDOUT_FILENO);
  std::optional<StoppableAnswer> stoppable;
  if (args.interactive) stoppable.emplace();
  auto options = args.options;
  options.on_text = [&](std::string_view piece) {
    if (!stoppable) stoppable.emplace();
    if (stream) std::cout << printable(piece) << std::flush;
    return interrupts() == 0;
  };
  auto answered = about;
  auto& answer = answered.answer;
  answer = session.chat(about.prompt, boxes, options);

  if (args.format) {
    print_format({answered}, *args.format, args.label);
    return answered;
  }
  if (!stream) std::cout << answer.text;
  std::cout << std::endl;
  list_phrases(std::cerr, answer);
  if (answer.finish == Finish::kLength) {
    std::cerr << "(cut off after " << answer.generated_ids.size() << " tokens; -n allows more)\n";
  }
  return answered;
}

}  // namespace groma::cli
