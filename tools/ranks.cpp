#include "ranks.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "check.h"

#ifdef GROMA_WITH_MPI
#include <mpi.h>
#endif

namespace groma::cli {
namespace {

/// A number that Open MPI or another launcher sets; 0 where there is none.
int number_in_environment(const std::vector<const char*>& names) {
  for (const char* name : names) {
    if (const char* text = std::getenv(name)) return std::atoi(text);
  }
  return 0;
}

/// How many processes were started together.
int started_together() {
  return number_in_environment({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE"});
}

}  // namespace

#ifdef GROMA_WITH_MPI

Ranks::Ranks() {
  if (started_together() < 2) return;
  MPI_Init(nullptr, nullptr);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &count_);
}

Ranks::~Ranks() {
  if (count_ > 1) MPI_Finalize();
}

int Ranks::largest(int number) const {
  if (count_ == 1) return number;
  int most = number;
  MPI_Allreduce(&number, &most, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  return most;
}

#else

Ranks::Ranks() {
  require(started_together() < 2,
          "run under mpirun: this program was built without MPI; install libopenmpi-dev and build "
          "anew, or start each part by itself with --shard i/n");
}

Ranks::~Ranks() = default;

int Ranks::largest(int number) const { return number; }

#endif

void choose_gpu() {
  if (started_together() < 2) return;
  const auto local = static_cast<std::size_t>(
      number_in_environment({"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID"}));
  // "2,5" means that this job may use these two.
  const char* given = std::getenv("CUDA_VISIBLE_DEVICES");
  std::vector<std::string> allowed;
  for (std::string rest = given ? given : ""; !rest.empty();) {
    const auto comma = rest.find(',');
    allowed.push_back(rest.substr(0, comma));
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
  require(allowed.empty() || local < allowed.size(), "run under mpirun: process ", local,
          " of this machine finds ", allowed.size(),
          " GPUs in CUDA_VISIBLE_DEVICES; start as many processes as GPUs");
  const std::string own = allowed.empty() ? std::to_string(local) : allowed[local];
  setenv("CUDA_VISIBLE_DEVICES", own.c_str(), 1);
}

}  // namespace groma::cli
