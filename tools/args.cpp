#include "args.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>

#include "check.h"
#include "io/file.h"
#include "terminal.h"

namespace groma::cli {
namespace {

const std::vector<std::pair<std::string, DType>> kDTypes = {
    {"auto", DType::kAuto},    {"fp32", DType::kFloat32}, {"bf16", DType::kBFloat16},
    {"fp16", DType::kFloat16}, {"int8", DType::kInt8},    {"int4", DType::kInt4}};

}  // namespace

void add_model_options(CLI::App& command, ModelArgs& args) {
  command.add_option("-m,--model", args.directory, "Folder of the checkpoint")
      ->type_name("DIR")
      ->required();
  command.add_option("-t,--threads", args.options.threads, "Compute threads; 0: all cores")
      ->check(CLI::Range(0, 4096).description(""))
      ->type_name("N");
  add_device_option(command, args.options.device);
  add_dtype_option(command, args.options.dtype);
}

void add_device_option(CLI::App& command, Device& device) {
  add_choice<Device>(command, "--device", device, {{"cpu", Device::kCpu}, {"cuda", Device::kCuda}},
                     "cpu or cuda")
      ->type_name("D");
}

void add_dtype_option(CLI::App& command, DType& dtype) {
  add_choice<DType>(command, "--dtype", dtype, kDTypes,
                    "fp32, bf16, fp16 (on cuda), int8, int4 or auto: as the files")
      ->type_name("T");
}

std::string refuse_negative(const std::string& given) {
  return given.starts_with("-") ? "found " + given + ", expected a whole number of 0 or more" : "";
}

CLI::Option* add_seed_option(CLI::App& command, std::uint64_t& seed, const std::string& help) {
  return command.add_option("--seed", seed, help)
      ->check(refuse_negative)
      ->type_name("S")
      ->capture_default_str();
}

void add_world_option(CLI::App& command, train::World& world, const std::string& help) {
  add_choice<train::World>(command, "--world", world,
                           {{"shapes", train::World::kShapes},
                            {"things", train::World::kThings},
                            {"both", train::World::kBoth}},
                           help)
      ->type_name("W");
}

std::string name_of(DType dtype) {
  for (const auto& [name, known] : kDTypes) {
    if (known == dtype) return name;
  }
  return "";
}

void add_region_options(CLI::App& command, RegionOptions& options) {
  command
      .add_option("--box-score", options.box_score,
                  "Regions score above this, 0 to 1; the best one always stays")
      ->check(CLI::Range(0.0, 1.0).description(""))
      ->type_name("S");
  command.add_option("--nms", options.nms_iou, "Of two regions overlapping more, one goes, 0 to 1")
      ->check(CLI::Range(0.0, 1.0).description(""))
      ->type_name("IOU");
  command.add_option("--max-regions", options.max_regions, "Most regions, 1 to 100")
      ->check(CLI::Range(1, 100).description(""))
      ->type_name("N");
  const auto set_tiles = [&options](const std::string& given) {
    if (given == "auto") {
      options.tiles = 0;
    } else if (given.size() == 1 && given[0] >= '1' && given[0] <= '8') {
      options.tiles = given[0] - '0';
    } else {
      throw CLI::ValidationError("'" + given + "' is neither auto nor 1 to 8");
    }
  };
  command
      .add_option_function<std::string>(
          "--tiles", set_tiles,
          "Propose also from N x N overlapping parts, for small objects; auto: by the size")
      ->type_name("N");
  command
      .add_flag("--tile-features", options.tile_features,
                "With --tiles: read each region from the part that shows it; finer, and slower")
      ->needs("--tiles");
}

void check_folder_of(const std::string& file) {
  const std::filesystem::path path(file);
  const auto folder = path.has_parent_path() ? path.parent_path() : ".";
  if (!std::filesystem::is_directory(folder)) {
    throw CLI::ValidationError("'" + file + "' cannot be written: its folder does not exist");
  }
}

void check_picture_file(const std::string& file) {
  const std::initializer_list<std::string> kinds = {".png",  ".jpg", ".jpeg",
                                                    ".webp", ".svg", ".html"};
  if (std::find(kinds.begin(), kinds.end(), io::lower_extension(file)) == kinds.end()) {
    throw CLI::ValidationError("'" + file +
                               "' is no picture that can be written: end its name in "
                               ".png, .jpg, .webp, .svg or .html");
  }
  check_folder_of(file);
}

void add_picture_option(CLI::App& command, std::string& file, const std::string& help) {
  command.add_option("-o,--output", file, help)->type_name("FILE")->each(check_picture_file);
}

void add_format_options(CLI::App& command, std::optional<Format>& format, std::string& label) {
  const std::vector<std::pair<std::string, std::optional<Format>>> choices = {
      {"json", Format::kJson},        {"coco", Format::kCoco}, {"yolo", Format::kYolo},
      {"labelme", Format::kLabelMe},  {"csv", Format::kCsv},   {"kosmos", Format::kKosmos},
      {"florence", Format::kFlorence}};
  add_choice(command, "--format", format, choices,
             "Print json, coco, yolo, labelme, csv, kosmos or florence instead of text")
      ->type_name("F");
  command.add_flag_callback(
      "--json", [&format] { format = Format::kJson; },
      "The same as --format json: a line for every answer");
  command.add_option("--label", label, "In a format, what regions without words are called")
      ->type_name("NAME")
      ->capture_default_str()
      ->needs("--format");
}

Groma load_model(const ModelArgs& args) {
  auto options = args.options;
  ProgressBar bar("loading " + args.directory);
  options.on_progress = [&](double done) { bar.show(done); };
  return Groma::load(args.directory, options);
}

Image open_image(const std::string& file) {
  if (file != "-") return Image::open(file);
  const auto bytes = read_stdin();
  return Image::decode(bytes.data(), bytes.size(), "standard input");
}

std::string read_stdin() {
  constexpr std::size_t kMostBytes = std::size_t{1} << 30;  // as much as of a picture's file
  std::string text;
  char buffer[1 << 16];
  while (std::cin.read(buffer, sizeof(buffer)) || std::cin.gcount() > 0) {
    text.append(buffer, static_cast<std::size_t>(std::cin.gcount()));
    require(text.size() <= kMostBytes, "read standard input: more than ", kMostBytes,
            " bytes, at most that many are read; check what is sent there");
  }
  return text;
}

}  // namespace groma::cli
