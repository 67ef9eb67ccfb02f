/* The C ABI of the communication backends: libmagi_comm_shm, for one machine, and libmagi_comm_mpi.
 *
 * A job is the set of processes ("ranks") of one program. A group is an ordered subset of them; a lane carries the operations
 * of a group in the order in which they were submitted, the same order on every member. Each group has one lane for
 * collectives, shared by all members, and one for each ordered pair of members, so that point-to-point messages do not
 * depend on the order of anything else. Operations run in the background; a ticket stands for one of them. Memory handed
 * to an operation must stay until its ticket was waited for, or its job closed. */
#ifndef MAGI_COMM_H
#define MAGI_COMM_H

#include <magi/abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MAGI_COMM_ABI_VERSION 1
#define MAGI_COMM_MAX_RANKS 128

/* Status codes next to those of MagiStatus. */
enum MagiCommStatus {
  MAGI_COMM_TIMEOUT = 100,   /* a deadline passed: `ranks` are those that did not arrive */
  MAGI_COMM_PEER_LOST = 101, /* processes ended: `ranks` */
  MAGI_COMM_FAILED = 102,    /* the ranks' calls do not fit each other, or the group was closed */
};

enum MagiReduceOp { MAGI_REDUCE_SUM = 0, MAGI_REDUCE_MAX = 1, MAGI_REDUCE_LSE = 2 };

MAGI_API int32_t magi_comm_abi_version(void);

/* Where a failed call names ranks: ranks[0] is their number, then come the ranks of the job. Holds 1 + MAGI_COMM_MAX_RANKS. */

/* Joins a job: rank 0 listens on host:port, the others connect, and all map a fresh segment that nobody else can name. Ranks
 * with another token are refused. ring_bytes is the buffer of one rank in one group, 0 for a default by machine; rank 0's
 * counts. A job of one rank uses neither socket nor segment.
 * Through MPI, what its launcher has started is the job: host, port, token, ring_bytes and timeout_seconds have no effect. */
MAGI_API int32_t magi_comm_job_open(int32_t rank, int32_t world_size, const char* host, int32_t port, const char* token,
                                    int64_t ring_bytes, double timeout_seconds, int64_t* job, int32_t* ranks, char* message,
                                    int32_t message_size);
/* Leaves. What is still under way fails. */
MAGI_API int32_t magi_comm_job_close(int64_t job, char* message, int32_t message_size);

/* Reserves the shared memory, or makes the communicator, of a group. Called by all ranks of the job in the same order, members or not, and with the same
 * ranks; the first member's memory is allocated here, so the group may be opened only once that member has succeeded. */
MAGI_API int32_t magi_comm_group_reserve(int64_t job, const int32_t* members, int32_t num_members, int64_t* reservation,
                                         char* message, int32_t message_size);
/* Opens a reserved group as one of its members. */
MAGI_API int32_t magi_comm_group_open(int64_t job, int64_t reservation, const int32_t* members, int32_t num_members,
                                      int64_t* group, char* message, int32_t message_size);
MAGI_API int32_t magi_comm_group_close(int64_t group, char* message, int32_t message_size);

/* Submits an exchange of bytes. `call` describes the call in words and must be the same on every member. The plan holds
 *   num_sends, then for each: address, bytes, num_destinations, destinations...
 *   num_receives, then for each: source, address, bytes
 * in ranks of the group. What a rank sends to another, piece after piece, fills what that one receives from it; pieces must
 * agree in size. Every member sees every member's sizes before data moves, so all fail alike if they do not fit.
 *
 * lane -1 is that of the collectives; otherwise the lane from member `lane / num_members` to `lane % num_members`. A task whose
 * predecessor `after` (a ticket that was not waited for, of any group, or 0) failed, fails with it. in_background 0: the caller waits at once. */
MAGI_API int32_t magi_comm_exchange(int64_t group, int32_t lane, const char* call, const int64_t* plan, int64_t plan_length,
                                    double timeout_seconds, int64_t after, int32_t in_background, int64_t* ticket,
                                    char* message, int32_t message_size);
/* Submits a local reduction, in the order of the lane of the collectives. The plan holds
 *   op, out_dtype, piece_dtype, accumulate, row_elements, row_heads, out, out_lse, num_slots, then for each slot:
 *   first_row, rows, divisor, num_pieces, then for each piece: address, lse_address
 * Slot rows become (the old rows, if accumulate, and the pieces, in order) combined, then divided by divisor (unless it is 1), in
 * float32 or wider and rounded once. For MAGI_REDUCE_LSE, rows are row_heads vectors, out_lse and the pieces' lse are
 * float32 [rows, row_heads], and -inf stands for "nothing yet", whatever the vector holds. */
MAGI_API int32_t magi_comm_reduce(int64_t group, const char* call, const int64_t* plan, int64_t plan_length, int64_t after,
                                  int32_t in_background, int64_t* ticket, char* message, int32_t message_size);

/* 1 if the operation has ended, well or not. */
MAGI_API int32_t magi_comm_test(int64_t ticket);
/* Waits for the end of an operation and forgets the ticket. Ends by the operation's own deadline at the latest. */
MAGI_API int32_t magi_comm_wait(int64_t ticket, int32_t* ranks, char* message, int32_t message_size);
/* Bytes that this member has written for others so far: what was sent to several at once counts once. */
MAGI_API int64_t magi_comm_bytes_written(int64_t group);

#ifdef __cplusplus
}
#endif

#endif
