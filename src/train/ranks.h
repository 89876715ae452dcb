#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace groma::train {

/// The processes that `mpirun -n N` started to train one model together; one alone without it.
///
/// All call the same members in the same order, each from its main thread.
class Ranks {
 public:
  /// Joins the others. throws Error when started by mpirun in a build without MPI
  Ranks();
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int rank() const { return rank_; }
  int count() const { return count_; }
  bool first() const { return rank_ == 0; }

  /// Lets the processes add to `values` one after the other, in the order in which a single process
  /// with as many workers would: the sum has the same bits. The last process holds it.
  ///
  /// values  [n] float, contiguous; the first process's count as what is added to
  void add_in_turn(at::Tensor& values, const std::function<void()>& add);

  /// Gives all the last process's values.
  void share_last(at::Tensor& values);

  /// Gives all processes the sum of their values by NCCL, each on a GPU of its own.
  ///
  /// values  [n] float on a GPU, contiguous
  /// throws  Error where NCCL cannot join them
  void sum_on_gpus(at::Tensor& values);

  /// What every process has to say, by rank.
  std::vector<std::string> gather(const std::string& own);

  /// Runs `work`; when it throws in any process, all throw the Error of the lowest such rank.
  void together(const std::function<void()>& work);

 private:
  void join_gpus();

  int rank_ = 0, count_ = 1;
  void* gpus_ = nullptr;  // NCCL's communicator, once it is needed
};

}  // namespace groma::train
