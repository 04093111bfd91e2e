#include "grammar/matcher.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace lille {
namespace {

constexpr std::size_t kFirstSlots = 256;
// So many edges are looked at in the time of another step.
constexpr std::size_t kEdgesPerStep = 8;
// Most rules that end together whose ends are one; more are only slower.
constexpr int kMaxShortenings = 8;

uint64_t mix(uint64_t hash, uint64_t value) noexcept {
  // The finaliser of SplitMix64.
  hash ^= value + 0x9e3779b97f4a7c15u;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
  return hash ^ (hash >> 31);
}

}  // namespace

Matcher::Matcher(std::shared_ptr<const CompiledGrammar> grammar)
    : grammar_(std::move(grammar)), n_classes_(grammar_->n_classes()) {
  reset();
}

void Matcher::reset() {
  sets_.clear();
  items_.clear();
  waits_.clear();
  next_.clear();
  by_hash_.clear();
  kinds_.clear();
  n_kind_bytes_ = 0;
  seen_.assign(kFirstSlots, {});
  begin_work();
  clear_seen();
  add({grammar_->begin_of(grammar_->root()), kHere});
  close();
  new_is_accepting_ = grammar_->is_nullable(grammar_->root());
  store();
}

std::size_t Matcher::n_table_bytes() const noexcept {
  constexpr std::size_t kHashEntryBytes = 48;
  return sets_.size() * (sizeof(Set) + kHashEntryBytes) + items_.size() * sizeof(Item) +
         waits_.size() * sizeof(Wait) + next_.size() * sizeof(State) + seen_.size() * sizeof(Slot) +
         n_kind_bytes_;
}

void Matcher::check_table_bytes(std::size_t max_bytes) const {
  if (n_table_bytes() > max_bytes)
    raise(ErrorCode::kInvalidArgument,
          "[grammar] the readings of the text so far take more memory than there is for them. Hint: make the "
          "grammar less ambiguous or the answer shorter");
}

Matcher::State Matcher::find_next(State state, uint8_t byte_class) {
  const uint8_t byte = grammar_->representative(byte_class);
  const auto& edges = grammar_->byte_edges();
  const Set set = sets_[state];
  clear_seen();
  for (std::size_t idx = set.items_begin; idx < set.items_begin + set.n_items; ++idx) {
    const Item item = items_[idx];
    const State origin = item.origin == kHere ? state : item.origin;
    const uint32_t begin = grammar_->position(item.position).bytes_begin;
    const uint32_t end = grammar_->position(item.position + 1).bytes_begin;
    count_work(1 + (end - begin) / kEdgesPerStep);
    for (uint32_t edge = begin; edge < end && edges[edge].first <= byte; ++edge)
      if (byte <= edges[edge].last) add({edges[edge].target, origin});
  }
  close();
  const State found = new_items_.empty() && !new_is_accepting_ ? kDead : store();
  next_[state * n_classes_ + byte_class] = found;
  return found;
}

void Matcher::clear_seen() {
  ++stamp_;
  n_seen_ = 0;
  open_.clear();
  new_items_.clear();
  new_waits_.clear();
  new_is_accepting_ = false;
}

void Matcher::count_work(std::size_t n_steps) {
  n_work_ += static_cast<int64_t>(n_steps);
  if (n_work_ > kMaxWork)
    raise(ErrorCode::kInvalidArgument,
          "[grammar] the text has more readings than {} steps can follow. Hint: a rule that can read the "
          "same text in many ways, such as a ::= a a | \"x\", needs another form",
          kMaxWork);
}

void Matcher::add(Item item) {
  count_work(1);
  if (2 * n_seen_ >= seen_.size()) {
    std::vector<Slot> larger(seen_.size() * 2);
    for (const Slot& slot : seen_) {
      if (slot.stamp != stamp_) continue;
      std::size_t idx = mix(slot.item.position, slot.item.origin) & (larger.size() - 1);
      while (larger[idx].stamp == stamp_) idx = (idx + 1) & (larger.size() - 1);
      larger[idx] = slot;
    }
    seen_ = std::move(larger);
  }
  std::size_t idx = mix(item.position, item.origin) & (seen_.size() - 1);
  for (; seen_[idx].stamp == stamp_; idx = (idx + 1) & (seen_.size() - 1))
    if (seen_[idx].item == item) return;
  seen_[idx] = {item, stamp_};
  ++n_seen_;
  open_.push_back(item);
}

void Matcher::close() {
  while (!open_.empty()) {
    const Item item = open_.back();
    open_.pop_back();
    expand(item);
  }
}

void Matcher::expand(Item item) {
  const CompiledGrammar::Position& position = grammar_->position(item.position);
  const CompiledGrammar::Position& after = grammar_->position(item.position + 1);
  if (after.bytes_begin > position.bytes_begin) new_items_.push_back(item);
  for (uint32_t edge = position.empties_begin; edge < after.empties_begin; ++edge)
    add({grammar_->empty_edges()[edge], item.origin});
  for (uint32_t idx = position.rules_begin; idx < after.rules_begin; ++idx) {
    const CompiledGrammar::RuleEdge& edge = grammar_->rule_edges()[idx];
    new_waits_.push_back({edge.rule, {edge.target, item.origin}});
    add({grammar_->begin_of(edge.rule), kHere});
    // What a rule that stands for nothing ends in the set where it begins, maybe before this item came.
    if (grammar_->is_nullable(edge.rule)) add({edge.target, item.origin});
  }
  if (position.is_end && item.origin != kHere) finish_rule(position.rule, item.origin);
}

void Matcher::finish_rule(uint32_t rule, State origin) {
  if (rule == grammar_->root() && origin == start()) new_is_accepting_ = true;
  const auto [begin, end] = waits_for(rule, origin);
  for (const Wait* wait = begin; wait != end; ++wait)
    add({wait->after.position, wait->after.origin == kHere ? origin : wait->after.origin});
}

std::pair<const Matcher::Wait*, const Matcher::Wait*> Matcher::waits_for(uint32_t rule, State origin) const {
  const Set& set = sets_[origin];
  const Wait* const begin = waits_.data() + set.waits_begin;
  const Wait* const end = begin + set.n_waits;
  // Not std::ranges::equal_range, which clang 14 of the fuzz targets cannot compile.
  return {std::ranges::lower_bound(begin, end, rule, {}, &Wait::rule),
          std::ranges::upper_bound(begin, end, rule, {}, &Wait::rule)};
}

uint64_t Matcher::hash_of_new() const noexcept {
  uint64_t hash = new_is_accepting_;
  for (const Item& item : new_items_) hash = mix(hash, uint64_t{item.position} << 32 | item.origin);
  for (const Wait& wait : new_waits_)
    hash = mix(mix(hash, wait.rule), uint64_t{wait.after.position} << 32 | wait.after.origin);
  return hash;
}

bool Matcher::is_new_set(State state) const noexcept {
  const Set& set = sets_[state];
  return set.is_accepting == new_is_accepting_ && set.n_items == new_items_.size() &&
         set.n_waits == new_waits_.size() &&
         std::equal(new_items_.begin(), new_items_.end(),
                    items_.begin() + static_cast<std::ptrdiff_t>(set.items_begin)) &&
         std::equal(new_waits_.begin(), new_waits_.end(),
                    waits_.begin() + static_cast<std::ptrdiff_t>(set.waits_begin));
}

// The end of a rule that ends another one, which only one place waits for, leads to that place. So what
// recurs at its own end, as lists do, is as flat as a loop. Wherever it stops, the wait leads to the same.
void Matcher::shorten(Wait& wait) const {
  for (int n_steps = 0; n_steps < kMaxShortenings; ++n_steps) {
    if (wait.after.origin == kHere || !grammar_->position(wait.after.position).is_end) return;
    const State origin = wait.after.origin;
    const uint32_t rule = grammar_->position(wait.after.position).rule;
    if (rule == grammar_->root() && origin == start()) return;
    const auto [begin, end] = waits_for(rule, origin);
    if (end - begin != 1) return;
    wait.after = begin->after;
    if (wait.after.origin == kHere) wait.after.origin = origin;
  }
}

Matcher::State Matcher::store() {
  for (Wait& wait : new_waits_) shorten(wait);
  count_work(new_items_.size() + new_waits_.size());
  std::ranges::sort(new_items_);
  std::ranges::sort(new_waits_);
  new_waits_.erase(std::unique(new_waits_.begin(), new_waits_.end()), new_waits_.end());
  const uint64_t hash = hash_of_new();
  const auto [begin, end] = by_hash_.equal_range(hash);
  for (auto known = begin; known != end; ++known)
    if (is_new_set(known->second)) return known->second;
  // Rows are most of what a table takes.
  count_work(n_classes_ / 4);
  const auto state = static_cast<State>(sets_.size());
  sets_.push_back({items_.size(), waits_.size(), static_cast<uint32_t>(new_items_.size()),
                   static_cast<uint32_t>(new_waits_.size()), new_is_accepting_, state,
                   CompiledGrammar::kAlways});
  items_.insert(items_.end(), new_items_.begin(), new_items_.end());
  waits_.insert(waits_.end(), new_waits_.begin(), new_waits_.end());
  next_.resize(next_.size() + n_classes_, kUnknown);
  by_hash_.emplace(hash, state);
  if (grammar_->has_alike()) find_kind(state);
  return state;
}

std::size_t Matcher::KindHash::operator()(const Kind& kind) const noexcept {
  uint64_t hash = 0;
  for (const uint64_t value : kind) hash = mix(hash, value);
  return hash;
}

// Origins stay as they are: what ends in an older set ends there for both.
void Matcher::find_kind(State state) {
  Set& set = sets_[state];
  std::vector<Item> items = new_items_;
  std::vector<Wait> waits = new_waits_;
  const auto replace = [&](Item& item) {
    const CompiledGrammar::Position& position = grammar_->position(item.position);
    set.n_alike = std::min(set.n_alike, position.n_alike);
    item.position = position.like;
  };
  for (Item& item : items) replace(item);
  for (Wait& wait : waits) replace(wait.after);
  if (set.n_alike == CompiledGrammar::kAlways) return;
  std::ranges::sort(items);
  items.erase(std::unique(items.begin(), items.end()), items.end());
  std::ranges::sort(waits);
  waits.erase(std::unique(waits.begin(), waits.end()), waits.end());
  Kind kind = {set.is_accepting, items.size()};
  for (const Item& item : items) kind.push_back(uint64_t{item.position} << 32 | item.origin);
  for (const Wait& wait : waits) {
    kind.push_back(wait.rule);
    kind.push_back(uint64_t{wait.after.position} << 32 | wait.after.origin);
  }
  const auto [known, is_new] = kinds_.try_emplace(std::move(kind), state);
  if (is_new) n_kind_bytes_ += known->first.size() * sizeof(uint64_t);
  set.kind = known->second;
}

}  // namespace lille
