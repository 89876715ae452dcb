#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <memory>
#include <string>

#include "answer.h"
#include "args.h"
#include "commands.h"
#include "image/draw.h"
#include "output.h"

namespace groma {
namespace {

/// Regions as an answer that names each of them, without words.
ImageAnswer as_answer(const std::vector<Region>& regions, ImageAnswer about) {
  about.answer.regions = regions;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    Phrase phrase;
    phrase.regions.push_back({static_cast<int>(i), regions[i].box, regions[i].score, NAN});
    about.answer.phrases.push_back(phrase);
  }
  return about;
}

}  // namespace

void add_propose_command(CLI::App& app) {
  struct ProposeArgs {
    cli::ModelArgs model;
    RegionOptions regions;
    std::string image;
    std::string picture;
    std::optional<Format> format;
    std::string label = "region";
  };
  auto& command = *app.add_subcommand("propose", "List or draw all regions of a picture");
  const auto args = std::make_shared<ProposeArgs>();
  cli::add_model_options(command, args->model);
  command.add_option("--image", args->image, "Picture; -: standard input")
      ->type_name("FILE")
      ->required();
  cli::add_region_options(command, args->regions);
  cli::add_format_options(command, args->format, args->label);
  cli::add_picture_option(command, args->picture,
                          "Draw the regions to a .png, .jpg, .webp, .svg or .html");
  command.callback([args] {
    const auto image = cli::open_image(args->image);
    const auto regions = cli::load_model(args->model).propose(image, args->regions);
    const auto all = as_answer(regions, cli::about(args->image, image, "All regions"));
    if (args->format == Format::kJson) {
      std::cout << cli::to_json(regions, image) << '\n';
    } else if (args->format) {
      cli::print_format({all}, *args->format, args->label);
    } else {
      cli::list_regions(std::cout, regions);
    }
    const auto& picture = args->picture;
    if (picture.ends_with(".svg") || picture.ends_with(".html")) {
      save_answer(picture, image, all);
    } else if (!picture.empty()) {
      draw_regions(image, regions).save(picture);
    }
  });
}

}  // namespace groma
