// An exchange through shared memory.
#ifndef MAGI_COMM_SHM_EXCHANGE_HPP
#define MAGI_COMM_SHM_EXCHANGE_HPP

#include "exchange.hpp"
#include "shm_lane.hpp"

#include <memory>
#include <string>
#include <vector>

namespace magi::comm {

class ShmExchange final : public Exchange {
 public:
  ShmExchange(std::string call, std::shared_ptr<Task> after, const int64_t* plan, int64_t plan_length, int members, int member,
              double timeout_seconds);

  Step step(Lane& lane) override;
  std::vector<int> awaited(Lane& lane) const override;

 private:
  void post_header(ShmLane& lane);
  bool has_header(const ShmLane& lane, int member) const;
  bool write_packet(ShmLane& lane);
  bool read_packet(ShmLane& lane, int source);

  std::vector<bool> touched_;  // members that must wake up
};

}  // namespace magi::comm

#endif
