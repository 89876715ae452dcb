#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "answer.h"
#include "groma/groma.h"
#include "pointing.h"

namespace groma::cli {

/// A conversation typed by a user: questions, and commands that begin with "/".
class Conversation {
 public:
  Conversation(Groma groma, AnswerArgs args, RegionOptions regions);

  void open(const std::string& image_file);  ///< begins anew about this picture
  void add_shape(TypedShape::Kind kind, const std::string& text);  ///< joins the next question
  void save(const std::string& picture_file);                      ///< the last answer, drawn
  void list_regions();
  void keep(const std::string& file);    ///< writes the conversation
  void resume(const std::string& file);  ///< goes on with a written one about this picture
  void clear();                          ///< forgets all turns, keeps the picture
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
  PointingArgs pointing_;             ///< of the next question
  std::map<std::string, Box> named_;  ///< what earlier questions called by a name
  std::optional<ImageAnswer> last_;
};

}  // namespace groma::cli
