#pragma once

#include <string>

namespace groma::cli {

/// The processes that `mpirun -n N` started together; one alone where the program runs by itself.
///
/// Needs a program built with MPI; otherwise starting it by mpirun is refused.
class Ranks {
 public:
  /// throws    Error when several processes were started and the program knows no MPI
  Ranks();
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int rank() const { return rank_; }    ///< of this process, from 0
  int count() const { return count_; }  ///< of all processes

  /// The largest of all processes' numbers; each waits for all others.
  int largest(int number) const;

 private:
  int rank_ = 0, count_ = 1;
};

/// Gives each of the processes that mpirun started on a machine a GPU of its own, where CUDA is
/// asked for and not yet used.
///
/// throws    Error when CUDA_VISIBLE_DEVICES shows fewer GPUs than there are processes
void choose_gpu();

}  // namespace groma::cli
