#include "answer_folder.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include "answer/answer_json.h"
#include "answer/file_stems.h"
#include "check.h"
#include "commands.h"
#include "interrupt.h"
#include "io/file.h"
#include "io/json.h"
#include "io/sha256.h"
#include "output.h"

namespace groma::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostListBytes = 100'000'000;
constexpr std::size_t kMostAnswerBytes = std::size_t{4} << 30;

bool is_picture_name(const fs::path& file) {
  const auto kind = io::lower_extension(file.string());
  return kind == ".jpg" || kind == ".jpeg" || kind == ".png" || kind == ".webp" || kind == ".bmp";
}

/// named     what the names of the pictures begin with
void add_folder(const fs::path& folder, const fs::path& named, const fs::path& except,
                std::vector<PictureFile>& all) {
  std::vector<PictureFile> found;
  std::error_code error;
  for (auto at = fs::recursive_directory_iterator(folder, error);
       !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (at->is_directory() && !except.empty() && fs::weakly_canonical(at->path()) == except) {
      at.disable_recursion_pending();
    } else if (at->is_regular_file() && is_picture_name(at->path())) {
      const auto name = named / at->path().lexically_relative(folder);
      found.push_back({at->path().string(), name.string()});
    }
  }
  require(!error, "list pictures: ", io::quote(folder.string()), ": ", error.message());
  require(!found.empty(), "list pictures: the folder ", io::quote(folder.string()),
          " holds no .jpg, .png, .webp or .bmp; name another");
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  all.insert(all.end(), found.begin(), found.end());
}

void add_list(const std::string& file, std::vector<PictureFile>& all) {
  std::istringstream lines(io::read_text_file(file, kMostListBytes));
  for (std::string line; std::getline(lines, line);) {
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.pop_back();
    if (!line.empty()) all.push_back({line, line});
  }
}

/// The answers that were written whole; cuts off what a killed run left half written.
std::vector<ImageAnswer> read_done(const std::string& file) {
  if (!fs::exists(file)) return {};
  const auto text = io::read_text_file(file, kMostAnswerBytes);
  const auto whole = text.rfind('\n') + 1;  // npos + 1 is 0
  if (whole < text.size()) fs::resize_file(file, whole);
  return read_answers(text.substr(0, whole), file);
}

/// Makes the folder, or checks that the run which began there asked the same.
void open_folder(const FolderRun& run) {
  const auto record = (fs::path(run.args.folder) / "run.json").string();
  io::make_folder(run.args.folder);
  if (!fs::exists(record)) {
    require(fs::is_empty(run.args.folder), "answer: ", io::quote(run.args.folder),
            " is not an empty folder; name another with --out");
    io::write_file(
        record,
        run.asked.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n');
    return;
  }
  require(run.args.resume, "answer: ", io::quote(run.args.folder),
          " holds answers already; go on with --resume or name another folder with --out");
  const auto before = io::read_json(record);
  const auto now = nlohmann::json::parse(one_line(run.asked));
  for (const auto& [key, value] : now.items()) {
    require(before.is_object() && before.contains(key) && before[key] == value, "resume ",
            io::quote(run.args.folder), ": ", key, " is ", value.dump(),
            ", the answers there were made with ",
            before.is_object() && before.contains(key) ? before[key].dump() : "another",
            "; give the same options or name another folder");
  }
}

/// Answers on their way to the disk, a line each.
class AnswerLog {
 public:
  explicit AnswerLog(const std::string& file) : file_(file), out_(file, std::ios::app) {}
  void add(const ImageAnswer& answer) {
    out_ << one_line(to_json(answer)) << '\n' << std::flush;
    require(out_.good(), "write ", io::quote(file_), ": the disk refuses; make room and resume");
  }

 private:
  std::string file_;
  std::ofstream out_;
};

void write_results(const FolderRun& run, const std::map<std::string, ImageAnswer>& by_name) {
  if (!run.format || *run.format == Format::kJson) return;
  std::vector<ImageAnswer> answers;
  for (const auto& picture : run.pictures) {
    const auto found = by_name.find(picture.name);
    if (found != by_name.end()) answers.push_back(found->second);
  }
  for (const auto& file : to_format(answers, *run.format, run.label)) {
    const auto path = fs::path(run.args.folder) / file.name;
    io::make_folder(path.parent_path().string());
    io::write_file(path.string(), file.text);
  }
}

void draw(const FolderRun& run, const std::string& stem, const Image& image,
          const ImageAnswer& answer) {
  if (run.args.draw.empty()) return;
  const auto path = fs::path(run.args.folder) / "drawn" / (stem + "." + run.args.draw);
  io::make_folder(path.parent_path().string());
  run.save(path.string(), image, answer);
}

}  // namespace

bool PictureArgs::many() const {
  return !folder.empty() || images.size() > 1 || image().starts_with("@") ||
         fs::is_directory(image());
}

CLI::Option* add_pictures(CLI::App& command, PictureArgs& args) {
  add_picture_option(command, args.drawing,
                     "Draw the answer to a .png, .jpg, .webp, .svg or .html");
  command.add_option("--out", args.folder, "Folder for the answers about several pictures")
      ->type_name("DIR");
  command.add_flag("--resume", args.resume, "Go on with the answers of --out");
  command.add_option("--draw", args.draw, "Draw each answer in --out: png, jpg, webp, svg or html")
      ->check(CLI::IsMember({"png", "jpg", "webp", "svg", "html"}).description(""))
      ->type_name("KIND");
  return command
      .add_option("--image", args.images,
                  "Picture to look at; -: standard input. With --out several, folders with all "
                  "below them, and @LIST")
      ->type_name("FILE");
}

void check_usage(const PictureArgs& args) {
  if (!args.many()) {
    if (args.resume || !args.draw.empty()) {
      throw CLI::ValidationError("--resume and --draw need --out");
    }
    return;
  }
  if (args.folder.empty()) {
    throw CLI::ValidationError("several pictures need --out, a folder for the answers");
  }
  if (!args.drawing.empty()) {
    throw CLI::ValidationError("--output is for one picture; --draw is for several");
  }
}

std::vector<PictureFile> list_pictures(const PictureArgs& args) {
  const auto except = args.folder.empty() ? fs::path() : fs::weakly_canonical(args.folder);
  std::vector<PictureFile> all;
  for (const auto& argument : args.images) {
    if (argument.starts_with("@")) {
      add_list(argument.substr(1), all);
    } else if (fs::is_directory(argument)) {
      add_folder(argument, args.images.size() > 1 ? argument : "", except, all);
    } else {
      all.push_back({argument, argument});
    }
  }
  require(!all.empty(), "list pictures: none is named; give files, folders or @LIST");
  std::set<std::string> names;
  for (const auto& picture : all) {
    require(names.insert(picture.name).second, "list pictures: ", io::quote(picture.name),
            " stands there twice; name it once");
  }
  return all;
}

nlohmann::ordered_json decided_by(const std::string& command, const ModelArgs& model,
                                  const RegionOptions& regions) {
  nlohmann::ordered_json asked = {{"command", command},
                                  {"model", model.directory},
                                  {"model_sha256", io::sha256_of_path(model.directory)},
                                  {"dtype", name_of(model.options.dtype)}};
  const auto put = [&asked](const char* key, const auto& value) {
    asked[key] = value ? nlohmann::ordered_json(*value) : nullptr;
  };
  put("box_score", regions.box_score);
  put("nms_iou", regions.nms_iou);
  put("max_regions", regions.max_regions);
  asked["tiles"] = regions.tiles;
  asked["tile_features"] = regions.tile_features;
  return asked;
}

void answer_folder(const FolderRun& run,
                   const std::function<ImageAnswer(const PictureFile&, const Image&)>& answer) {
  open_folder(run);
  const auto log_file = (fs::path(run.args.folder) / "answers.jsonl").string();
  std::map<std::string, ImageAnswer> by_name;
  for (auto& done : read_done(log_file)) by_name[done.file] = std::move(done);
  AnswerLog log(log_file);
  std::vector<std::string> names;
  for (const auto& picture : run.pictures) names.push_back(picture.name);
  const auto stems = file_stems(names);
  int failed = 0;
  for (std::size_t i = 0; i < run.pictures.size(); ++i) {
    const auto& picture = run.pictures[i];
    if (by_name.count(picture.name) > 0) continue;
    try {
      const auto image = Image::open(picture.path);
      const auto answered = answer(picture, image);
      if (answered.answer.finish == Finish::kCancelled) throw Interrupted();
      draw(run, stems[i], image, answered);
      log.add(answered);
      std::cout << picture.name << '\t' << words_of(answered.answer) << std::endl;
      by_name[picture.name] = answered;
    } catch (const Error& error) {
      ++failed;
      std::cerr << "groma: " << error.what() << '\n';
    }
  }
  write_results(run, by_name);
  std::cerr << by_name.size() << " of " << run.pictures.size() << " pictures answered in "
            << run.args.folder << '\n';
  if (failed > 0) throw ExitStatus{3};
}

}  // namespace groma::cli
