#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "answer.h"
#include "answer_folder.h"
#include "args.h"
#include "commands.h"
#include "image/draw.h"
#include "io/file.h"
#include "output.h"

namespace groma {
namespace {

struct ProposeArgs {
  cli::ModelArgs model;
  RegionOptions regions;
  cli::PictureArgs pictures;
  std::optional<Format> format;
  std::string label = "region";
};

/// All regions as an answer that names each of them, without words.
ImageAnswer propose(const Groma& groma, const Image& image, const std::string& file,
                    const RegionOptions& options) {
  auto all = cli::about(file, image, "All regions");
  all.answer.regions = groma.propose(image, options);
  for (std::size_t i = 0; i < all.answer.regions.size(); ++i) {
    const auto& region = all.answer.regions[i];
    Phrase phrase;
    phrase.regions.push_back({static_cast<int>(i), region.box, region.score, NAN});
    all.answer.phrases.push_back(phrase);
  }
  return all;
}

/// A page or drawing of lines as of any answer; pictures get the scores too.
void save(const std::string& path, const Image& image, const ImageAnswer& all) {
  const auto extension = io::lower_extension(path);
  if (extension == ".svg" || extension == ".html") return save_answer(path, image, all);
  draw_regions(image, all.answer.regions, drawing_scale(image)).save(path);
}

void propose_one(const ProposeArgs& args) {
  const auto image = cli::open_image(args.pictures.image());
  const auto all = propose(cli::load_model(args.model), image, args.pictures.image(), args.regions);
  if (args.format == Format::kJson) {
    std::cout << cli::regions_json(all) << '\n';
  } else if (args.format) {
    cli::print_format({all}, *args.format, args.label);
  } else {
    cli::list_regions(std::cout, all.answer.regions);
  }
  if (!args.pictures.drawing.empty()) save(args.pictures.drawing, image, all);
}

void propose_many(const ProposeArgs& args) {
  cli::FolderRun run;
  run.args = args.pictures;
  run.pictures = cli::list_pictures(args.pictures);
  run.format = args.format;
  run.label = args.label;
  run.asked = cli::decided_by("propose", args.model, args.regions);
  run.save = save;
  std::optional<Groma> groma;  // loaded when there is something to look at
  cli::answer_folder(run, [&](const cli::PictureFile& picture, const Image& image) {
    if (!groma) groma.emplace(cli::load_model(args.model));
    return propose(*groma, image, picture.name, args.regions);
  });
}

}  // namespace

void add_propose_command(CLI::App& app) {
  auto& command = *app.add_subcommand("propose", "List or draw all regions of pictures");
  const auto args = std::make_shared<ProposeArgs>();
  cli::add_model_options(command, args->model);
  cli::add_pictures(command, args->pictures)->required();
  cli::add_region_options(command, args->regions);
  cli::add_format_options(command, args->format, args->label);
  command.callback([args] {
    check_usage(args->pictures);
    args->pictures.many() ? propose_many(*args) : propose_one(*args);
  });
}

}  // namespace groma
