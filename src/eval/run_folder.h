#pragma once

#include <fstream>
#include <string>
#include <unordered_set>
#include <vector>

#include "eval/run_record.h"
#include "eval/score_protocols.h"

namespace groma::eval {

/// The folder of a run that is going on: takes up what is there, adds answers one by one.
class RunFolder {
 public:
  /// Makes the folder, or goes on with the run in it; the record is then compared.
  ///
  /// throws    Error when the folder holds another run, or one and `resume` is not set, or when
  ///           another process writes to it
  RunFolder(const std::string& folder, RunRecord record, bool resume);

  /// Keys of the answers that are there.
  const std::unordered_set<std::string>& keys() const { return keys_; }

  std::size_t failed() const { return failed_; }    ///< answers with an error
  std::size_t skipped() const { return skipped_; }  ///< whose picture is missing

  /// Adds an answer; it is in the file when this returns.
  void add(const Prediction& prediction);
  /// Adds a line to timings.jsonl.
  void add_times(const std::string& line);

  /// Puts all answers in the order of the samples, writes the lists for other tools and the end of
  /// the run.
  void finish(const Dataset& dataset, const SampleList& samples);

 private:
  std::string file(const char* name) const;
  void take_up(bool resume);
  void count(const Prediction& prediction);

  /// A file that is closed on every way out, that of a constructor too.
  struct OpenFile {
    OpenFile() = default;
    ~OpenFile();
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    int descriptor = -1;
  };

  const std::string folder_;
  RunRecord record_;
  std::unordered_set<std::string> keys_;
  std::size_t failed_ = 0, skipped_ = 0;
  OpenFile answers_;  // predictions.jsonl
  std::ofstream times_;
};

}  // namespace groma::eval
