#include "eval/java_tools.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <system_error>

#include "check.h"
#include "eval/ptb_tokenizer.h"
#include "io/file.h"

extern char** environ;

namespace groma::eval {
namespace {

namespace fs = std::filesystem;

/// A folder for the texts that go to and come from Java; removed with the object.
class Scratch {
 public:
  Scratch() {
    std::string name = (fs::temp_directory_path() / "groma-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr, "make a folder in ", fs::temp_directory_path(), ": ",
            std::system_category().message(errno));
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

/// Runs `java arguments < input > output`; what it writes to standard error is dropped.
void run_java(std::vector<std::string> arguments, const std::string& input,
              const std::string& output) {
  arguments.insert(arguments.begin(), "java");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, input.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int refused = posix_spawnp(&child, "java", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  require(refused == 0, "run java: ", std::system_category().message(refused),
          "; install a Java runtime or leave the jar out");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "run java: ", arguments.back(),
          " ended with status ", WEXITSTATUS(status), "; run it by hand to see why");
}

std::vector<std::string> lines_of(const std::string& path) {
  const auto file = io::MappedFile::open(path);
  std::vector<std::string> lines;
  const std::string_view text = file->bytes();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

double number_of(const std::string& line) {
  double value = 0;
  const auto result = std::from_chars(line.data(), line.data() + line.size(), value);
  require(result.ec == std::errc(), "run METEOR: found ", io::quote(line), ", expected a number");
  return value;
}

std::string without(std::string text, const std::string& part) {
  for (std::size_t at; (at = text.find(part)) != std::string::npos;) text.erase(at, part.size());
  return text;
}

}  // namespace

std::vector<std::string> tokenize_with_jar(const std::string& jar,
                                           const std::vector<std::string>& texts) {
  const Scratch scratch;
  std::string all;
  for (std::string text : texts) {
    for (char& c : text) c = c == '\n' || c == '\r' ? ' ' : c;
    all += text + "\n";
  }
  io::write_file(scratch.file("texts"), all);
  run_java({"-cp", jar, "edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase",
            scratch.file("texts")},
           "/dev/null", scratch.file("tokens"));
  auto lines = lines_of(scratch.file("tokens"));
  require(lines.size() == texts.size(), "tokenize with ", io::quote(jar), ": got ", lines.size(),
          " lines for ", texts.size(), " captions");
  for (std::string& line : lines) line = without_punctuation(line);
  return lines;
}

MeteorScores meteor_with_jar(const std::string& jar, const std::vector<CaptionPair>& pairs) {
  const Scratch scratch;
  // Its protocol: a SCORE line gives a line of statistics, an EVAL line of all statistics gives a
  // score for each and one for all.
  std::string questions;
  for (const CaptionPair& pair : pairs) {
    questions += "SCORE";
    for (const std::string& reference : pair.references) questions += " ||| " + reference;
    questions += " ||| " + without(pair.caption, "|||") + "\n";
  }
  io::write_file(scratch.file("questions"), questions);
  const std::vector<std::string> command = {"-Xmx2G", "-jar", jar,  "-",    "-",
                                            "-stdio", "-l",   "en", "-norm"};
  run_java(command, scratch.file("questions"), scratch.file("statistics"));
  const auto statistics = lines_of(scratch.file("statistics"));
  require(statistics.size() == pairs.size(), "run METEOR: got ", statistics.size(), " lines for ",
          pairs.size(), " captions");
  std::string question = "EVAL";
  for (const std::string& line : statistics) question += " ||| " + line;
  io::write_file(scratch.file("question"), question + "\n");
  run_java(command, scratch.file("question"), scratch.file("scores"));
  const auto scores = lines_of(scratch.file("scores"));
  require(scores.size() == pairs.size() + 1, "run METEOR: got ", scores.size(), " scores for ",
          pairs.size(), " captions");
  MeteorScores out;
  for (std::size_t i = 0; i < pairs.size(); ++i) out.each.push_back(number_of(scores[i]));
  out.score = number_of(scores.back());
  return out;
}

}  // namespace groma::eval
