// An exchange through MPI: each member sends its header to each other one, then packets of pieces. A packet for several members
// is packed once. Nothing is sent from, or received into, memory of the program directly: see MpiTransfer.
#ifndef MAGI_COMM_MPI_EXCHANGE_HPP
#define MAGI_COMM_MPI_EXCHANGE_HPP

#include "exchange.hpp"
#include "mpi_lane.hpp"
#include "mpi_transfer.hpp"

#include <memory>
#include <string>
#include <vector>

namespace magi::comm {

class MpiExchange final : public Exchange {
 public:
  MpiExchange(std::string call, std::shared_ptr<Task> after, const int64_t* plan, int64_t plan_length, int members, int member,
              double timeout_seconds);

  Step step(Lane& lane) override;
  std::vector<int> awaited(Lane& lane) const override;

 private:
  void post_headers(const MpiLane& lane);
  bool have_headers_arrived();
  bool send_packets(MpiLane& lane);
  bool receive_packets(const MpiLane& lane);
  bool is_finished() const;

  std::vector<std::unique_ptr<MpiTransfer>> headers_;  // by member; the own one is sent, the others received
  std::vector<std::unique_ptr<MpiTransfer>> outgoing_;
  std::vector<std::unique_ptr<MpiTransfer>> incoming_;  // by source
};

}  // namespace magi::comm

#endif
