#pragma once

#include <optional>
#include <string>
#include <vector>

#include "answer.h"
#include "groma/groma.h"

namespace groma::cli {

/// A conversation typed by a user: questions, and commands that begin with "/".
class Conversation {
 public:
  Conversation(Groma groma, AnswerArgs args, RegionOptions regions);

  void open(const std::string& image_file);      ///< begins anew about this picture
  void add_box(const std::string& x1_y1_x2_y2);  ///< joins the next question
  void save(const std::string& picture_file);    ///< the last answer, drawn
  void list_regions();
  void clear();  ///< forgets all turns, keeps the picture
  void question(const std::string& prompt);
  void help();

  /// Reads lines until /quit or the end of input.
  void run();

 private:
  bool obey(const std::string& line);  ///< false: leave

  Groma groma_;
  AnswerArgs args_;
  RegionOptions region_options_;
  std::string file_;
  std::optional<Image> image_;
  std::optional<Session> session_;
  std::vector<Box> boxes_;  ///< of the next question
  std::optional<ImageAnswer> last_;
};

}  // namespace groma::cli
