/* The ceiling of the worker loop on the broker's side: takes COUNT messages and acknowledges every 50th with `multiple`. */
#include "broker.h"

static const char usage[] = "usage: raw-consumer QUEUE PREFETCH COUNT";
enum { acknowledge_every = 50 };

int main(int count, char **values) {
    if (count < 4) fail(usage);
    long prefetch = argument(count, values, 2, usage);
    long wanted = argument(count, values, 3, usage);
    amqp_connection_state_t connection = connect_broker();
    amqp_basic_qos(connection, 1, 0, (uint16_t)prefetch, 0);
    require(amqp_get_rpc_reply(connection), "no prefetch");
    amqp_basic_consume(connection, 1, amqp_cstring_bytes(values[1]), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
    require(amqp_get_rpc_reply(connection), "no consumer");

    double start = 0;
    for (long taken = 1; taken <= wanted; taken++) {
        amqp_envelope_t envelope;
        struct timeval limit = {30, 0};
        amqp_maybe_release_buffers(connection);
        require(amqp_consume_message(connection, &envelope, &limit, 0), "no message in time");
        if (taken == 1) start = now();
        if (taken % acknowledge_every == 0 || taken == wanted) {
            if (amqp_basic_ack(connection, 1, envelope.delivery_tag, 1) != AMQP_STATUS_OK) fail("an ack failed");
        }
        amqp_destroy_envelope(&envelope);
    }
    printf("{\"messages\": %ld, \"seconds\": %.6f}\n", wanted - 1, now() - start);
    disconnect_broker(connection);
    return 0;
}
