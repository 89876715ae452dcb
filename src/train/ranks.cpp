#include "train/ranks.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "check.h"

#ifdef GROMA_MPI
#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX  // we use the C interface alone
#endif
#include <mpi.h>
#ifdef GROMA_WITH_CUDA
#include <torch/csrc/cuda/nccl.h>  // LibTorch's own NCCL: no second one is linked
#endif
#endif

namespace groma::train {
namespace {

/// Whether mpirun of Open MPI or MPICH, or srun, started this process.
bool started_by_mpirun() {
  return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMI_SIZE") || getenv("PMIX_RANK");
}

}  // namespace

#ifdef GROMA_MPI

Ranks::Ranks() {
  if (!started_by_mpirun()) return;
  // MPI can be entered once in the life of a process.
  struct Session {
    Session() {
      int level = 0;
      MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);
    }
    ~Session() { MPI_Finalize(); }
  };
  static const Session session;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &count_);
}

void Ranks::add_in_turn(at::Tensor& values, const std::function<void()>& add) {
  constexpr int kTag = 1;
  TORCH_CHECK(values.is_contiguous() && values.numel() <= std::numeric_limits<int>::max(),
              "ranks: ", values.numel(), " values in one message");
  const auto size = static_cast<int>(values.numel());
  auto* data = values.mutable_data_ptr<float>();
  if (rank_ > 0) {
    MPI_Recv(data, size, MPI_FLOAT, rank_ - 1, kTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  }
  add();
  if (rank_ + 1 < count_) MPI_Send(data, size, MPI_FLOAT, rank_ + 1, kTag, MPI_COMM_WORLD);
}

void Ranks::share_last(at::Tensor& values) {
  constexpr int64_t kMost = int64_t{1} << 28;  // values a message
  for (int64_t at = 0; count_ > 1 && at < values.numel(); at += kMost) {
    const auto size = static_cast<int>(std::min(kMost, values.numel() - at));
    MPI_Bcast(values.mutable_data_ptr<float>() + at, size, MPI_FLOAT, count_ - 1, MPI_COMM_WORLD);
  }
}

std::vector<std::string> Ranks::gather(const std::string& own) {
  if (count_ == 1) return {own};
  std::vector<int> sizes(count_), places(count_);
  const auto size = static_cast<int>(own.size());
  MPI_Allgather(&size, 1, MPI_INT, sizes.data(), 1, MPI_INT, MPI_COMM_WORLD);
  int total = 0;
  for (int r = 0; r < count_; ++r) {
    places[r] = total;
    total += sizes[r];
  }
  std::string all(total, '\0');
  MPI_Allgatherv(own.data(), size, MPI_CHAR, all.data(), sizes.data(), places.data(), MPI_CHAR,
                 MPI_COMM_WORLD);
  std::vector<std::string> result;
  for (int r = 0; r < count_; ++r) result.push_back(all.substr(places[r], sizes[r]));
  return result;
}

#ifdef GROMA_WITH_CUDA

void Ranks::join_gpus() {
  torch::cuda::nccl::ncclUniqueId id{};
  const auto try_to = [&](const auto& work) {
    together([&] {
      try {
        work();
      } catch (const c10::Error& error) {
        require(false, "train: NCCL cannot join ", count_,
                " processes: ", error.what_without_backtrace(),
                "; start as many as there are GPUs, with a LibTorch ",
                "that has NCCL (scripts/setup.sh --cuda), or take --device cpu");
      }
    });
  };
  try_to([&] {
    if (first()) torch::cuda::nccl::get_unique_id(id);
  });
  const auto chosen = gather(std::string(id.internal, sizeof(id.internal)))[0];
  std::copy(chosen.begin(), chosen.end(), id.internal);
  try_to([&] { gpus_ = torch::cuda::nccl::comm_init_rank(count_, id, rank_); });
}

Ranks::~Ranks() {
  if (gpus_) torch::cuda::nccl::comm_destroy(gpus_);
}

void Ranks::sum_on_gpus(at::Tensor& values) {
  if (count_ == 1) return;
  if (!gpus_) join_gpus();
  std::vector<at::Tensor> sums{values};
  torch::cuda::nccl::all_reduce(sums, sums, static_cast<int32_t>(torch::cuda::nccl::ncclRedOp::Sum),
                                {}, {gpus_});
}

#endif

#else

Ranks::Ranks() {
  const char* size = getenv("OMPI_COMM_WORLD_SIZE");
  require(!started_by_mpirun() || !size || std::string(size) == "1", "train: started ", size,
          " times by mpirun, but this build knows no MPI; install Open MPI and build again");
}
void Ranks::add_in_turn(at::Tensor&, const std::function<void()>& add) { add(); }
void Ranks::share_last(at::Tensor&) {}
std::vector<std::string> Ranks::gather(const std::string& own) { return {own}; }

#endif

#if !defined(GROMA_MPI) || !defined(GROMA_WITH_CUDA)

Ranks::~Ranks() = default;

void Ranks::sum_on_gpus(at::Tensor&) {
  require(count_ == 1, "train: ", count_,
          " processes on GPUs, but this build has no CUDA; configure ",
          "it with GROMA_CUDA=ON, or take --device cpu");
}

#endif

void Ranks::together(const std::function<void()>& work) {
  std::string failure;
  if (count_ == 1) return work();
  try {
    work();
  } catch (const std::exception& error) {
    failure = error.what();
    if (failure.empty()) failure = "failed without a message";
  }
  const auto failures = gather(failure);
  for (int r = 0; r < count_; ++r) {
    require(failures[r].empty(), failures[r], r > 0 ? " (process " + std::to_string(r) + ")" : "");
  }
}

}  // namespace groma::train
