#pragma once

#include <cstdint>
#include <vector>

namespace lille {

/// How many tokens are worth drafting: as many as give most tokens a second, by what passes and drafts took
/// so far and by how many drafted tokens were accepted. None where that is fastest; then it tries again after
/// a while, and ever more rarely as long as that fails. It holds no clock, so equal notes give equal lengths.
class DraftLength {
 public:
  /// @param n_most  What choose() returns at most, at least 1.
  explicit DraftLength(int64_t n_most);

  /// How many to draft for the next pass.
  /// @param n_possible  At most so many are of use, from 0.
  int64_t choose(int64_t n_possible);

  /// A pass of n_rows tokens, one of them not drafted, took so long.
  void note_pass(int64_t n_rows, double seconds);
  /// Drafting n_tokens tokens took so long.
  void note_draft(int64_t n_tokens, double seconds);
  /// Of n_drafted tokens in a pass the first n_accepted were right.
  void note_outcome(int64_t n_drafted, int64_t n_accepted);

 private:
  struct Cost {
    double seconds = 0;
    int64_t measured_at = -1;  // n_passes_ then; -1: never
  };

  bool is_measured(std::size_t n_rows) const;
  double pass_cost(std::size_t n_rows) const;
  int64_t best(int64_t n_possible) const;

  std::vector<Cost> passes_;     // [n_rows - 1]
  std::vector<double> chances_;  // [idx]: that a drafted token is accepted if those before it were
  double draft_s_ = 0;           // of a drafted token
  int64_t n_passes_ = 0;
  bool is_resting_ = false;  // drafting does not pay
  int64_t rest_;             // passes until the next try
  int64_t n_left_ = 0;       // of rest_
};

}  // namespace lille
