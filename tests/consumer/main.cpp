#include <cstdio>

#include "groma/groma.h"

/// Prints the boxes of a picture: consumer MODEL IMAGE.
int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    const auto groma = groma::Groma::load(argv[1]);
    groma::RegionOptions options;
    options.box_score = 0;  // a random model is sure of nothing
    for (const auto& region : groma.propose(groma::Image::open(argv[2]), options)) {
      const auto& box = region.box;
      std::printf("box %g %g %g %g\n", box.x1, box.y1, box.x2, box.y2);
    }
  } catch (const groma::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
