#include "job.hpp"

#include <magi/parallel.hpp>
#include <magi/status.hpp>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

namespace magi::comm {

namespace {

constexpr int kPairSlots = 16;

// A group's memory: the control parts of all lanes, then their rings. Pages that nobody uses are never allocated.
struct GroupLayout {
  GroupLayout(int members, int64_t ring_bytes)
      : collective{members, members, static_cast<int>(std::max<int64_t>(ring_bytes / kSlotBytes, 2))},
        pair{2, 1, std::min(kPairSlots, collective.slots)},
        num_pairs(int64_t{members} * members) {}

  int64_t pair_control(int64_t index) const { return collective.control_bytes() + index * pair.control_bytes(); }
  int64_t rings() const { return pair_control(num_pairs); }
  int64_t pair_rings(int64_t index) const { return rings() + collective.rings_bytes() + index * pair.rings_bytes(); }
  int64_t bytes() const { return pair_rings(num_pairs); }

  LaneLayout collective;
  LaneLayout pair;
  int64_t num_pairs;
};

// Rings, and what belongs to pairs, are allocated at their first use.
void allocate_group(const Segment& segment, int64_t offset, const GroupLayout& layout) {
  segment.extend(offset + layout.bytes());
  segment.allocate(offset, layout.collective.control_bytes());
}

}  // namespace

Job::Job(const JobOptions& options)
    : rank_(options.rank), world_size_(options.world_size), next_offset_(round_to_page(sizeof(Control))) {
  std::vector<Socket> peers;
  if (world_size_ == 1) {
    own_control_ = std::make_unique<Control>();
    control_ = own_control_.get();
  } else {
    // The group of all ranks, which is the first to be reserved, has no other group to agree through.
    const auto prepare = [&](const Segment& segment, int64_t ring_bytes) {
      allocate_group(segment, next_offset_, GroupLayout(world_size_, ring_bytes));
    };
    BootstrapResult result = bootstrap({options, prepare});
    segment_ = std::move(result.segment);
    control_ = reinterpret_cast<Control*>(result.control);
    ring_bytes_ = result.ring_bytes;
    peers = std::move(result.peers);
    monitor_ = std::make_unique<Monitor>(*control_, rank_, world_size_, std::move(peers));
  }
  // With more ranks than cores, spinning takes the time of the one that is waited for.
  const bool may_spin = world_size_ <= magi::detail::usable_cores();
  engine_ = std::make_unique<Engine>(control_->ranks[rank_].doorbell, may_spin);
}

Job::~Job() {
  control_->ranks[rank_].state.store(RankState::kLeft);
  control_->ring_all(world_size_);
  engine_.reset();
  monitor_.reset();
  if (!own_control_) munmap(control_, static_cast<size_t>(round_to_page(sizeof(Control))));
}

int64_t Job::reserve(const std::vector<int>& members) {
  const int64_t offset = next_offset_;
  const GroupLayout layout(static_cast<int>(members.size()), ring_bytes_);
  if (members.size() == 1) return offset;
  next_offset_ += layout.bytes();
  if (members.front() == rank_) allocate_group(segment_, offset, layout);
  return offset;
}

Group::Group(std::shared_ptr<Job> job, int64_t reservation, std::vector<int> members)
    : job_(std::move(job)), reservation_(reservation), members_(std::move(members)) {
  const auto own = std::find(members_.begin(), members_.end(), job_->rank());
  check(own != members_.end(), "members: rank %d is not one of them", job_->rank());
  member_ = static_cast<int>(own - members_.begin());
  if (size() == 1) return;
  memory_bytes_ = GroupLayout(size(), job_->ring_bytes()).bytes();
  memory_ = job_->segment().map(reservation_, memory_bytes_);
}

Group::~Group() {
  for (const auto& [index, lane] : lanes_) {
    job_->engine().drop(lane, {MAGI_COMM_FAILED, "the group was destroyed before the operation ended", {}});
  }
  if (memory_ == nullptr) return;
  auto& control = *reinterpret_cast<LaneControl*>(memory_);
  const bool is_last = control.closed.fetch_add(1) + 1 == members_.size();
  munmap(memory_, static_cast<size_t>(memory_bytes_));
  if (is_last) job_->segment().discard(reservation_, memory_bytes_);
}

std::shared_ptr<ShmLane> Group::make_lane(const LaneLayout& layout, int64_t control, int64_t rings, int member,
                                       std::vector<int> ranks, bool is_control_allocated) {
  const int64_t control_offset = reservation_ + control;
  const int64_t ring_offset = reservation_ + rings + member * layout.ring_bytes();
  const int64_t control_bytes = layout.control_bytes();
  const int64_t ring_bytes = layout.ring_bytes();
  const Segment& segment = job_->segment();
  const LaneMemory memory(layout, memory_ + control, memory_ + rings);
  ShmLaneOptions options{memory, member, std::move(ranks), &job_->control(), {}, {}};
  if (!is_control_allocated) {
    options.allocate_control = [&segment, control_offset, control_bytes] { segment.allocate(control_offset, control_bytes); };
  }
  options.allocate_ring = [&segment, ring_offset, ring_bytes] { segment.allocate(ring_offset, ring_bytes); };
  return std::make_shared<ShmLane>(std::move(options));
}

std::shared_ptr<Lane> Group::lane(int index) {
  const auto known = lanes_.find(index);
  if (known != lanes_.end()) return known->second;
  const GroupLayout layout(size(), job_->ring_bytes());
  std::shared_ptr<Lane> lane;
  if (index == -1 && size() == 1) {
    const LaneLayout alone{1, 0, 0};
    own_memory_ = std::make_unique<char[]>(static_cast<size_t>(alone.control_bytes()));
    LaneMemory memory(alone, own_memory_.get(), nullptr);
    lane = std::make_shared<ShmLane>(ShmLaneOptions{memory, 0, members_, &job_->control(), {}, {}});
  } else if (index == -1) {
    lane = make_lane(layout.collective, 0, layout.rings(), member_, members_, true);
  } else {
    check(index >= 0 && index < size() * size() && index / size() != index % size(),
          "lane: expected -1 or a pair of two of %d members, got %d", size(), index);
    const int from = index / size();
    const int to = index % size();
    check(member_ == from || member_ == to, "lane: %d belongs to other members", index);
    lane = make_lane(layout.pair, layout.pair_control(index), layout.pair_rings(index), member_ == from ? 0 : 1,
                     {members_[static_cast<size_t>(from)], members_[static_cast<size_t>(to)]}, false);
  }
  lanes_.emplace(index, lane);
  return lane;
}

int64_t Group::bytes_written() const {
  int64_t sum = 0;
  for (const auto& [index, lane] : lanes_) sum += lane->bytes_written.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace magi::comm
