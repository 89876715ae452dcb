#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>

#include "args.h"
#include "commands.h"
#include "image/draw.h"
#include "output.h"

namespace groma {

void add_propose_command(CLI::App& app) {
  struct ProposeArgs {
    cli::ModelArgs model;
    RegionOptions regions;
    std::string image;
    std::string picture;
    bool json = false;
  };
  auto& command = *app.add_subcommand("propose", "List or draw all regions of a picture");
  const auto args = std::make_shared<ProposeArgs>();
  cli::add_model_options(command, args->model);
  command.add_option("--image", args->image, "Picture; -: standard input")
      ->type_name("FILE")
      ->required();
  cli::add_region_options(command, args->regions);
  command.add_flag("--json", args->json, "Print a line of JSON");
  cli::add_picture_option(command, args->picture, "Draw the regions to a .png, .jpg or .webp");
  command.callback([args] {
    const auto image = cli::open_image(args->image);
    const auto regions = cli::load_model(args->model).propose(image, args->regions);
    if (args->json) {
      std::cout << cli::to_json(regions, image) << '\n';
    } else {
      cli::list_regions(std::cout, regions);
    }
    if (!args->picture.empty()) draw_regions(image, regions).save(args->picture);
  });
}

}  // namespace groma
