/* The ceiling of the webhook route: persistent, mandatory publishes with confirms from a C loop, WINDOW of them in flight.
   Also fills queues for the worker benchmarks. Bodies are the second column of a `neff sandbox deliveries` file. */
#include "broker.h"

static const char usage[] = "usage: raw-publisher WINDOW SECONDS COUNT DELIVERIES (0 means no limit)";

struct bodies {
    amqp_bytes_t *items;
    size_t count;
};

static struct bodies read_bodies(const char *path) {
    struct bodies bodies = {NULL, 0};
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0, allocated = 0;
    ssize_t length;
    if (!file) fail("the deliveries cannot be read");
    while ((length = getline(&line, &capacity, file)) > 0) {
        char *tab = memchr(line, '\t', (size_t)length);
        if (!tab) fail("a delivery has no tab");
        if (line[length - 1] == '\n') length--;
        if (bodies.count == allocated) {
            allocated = allocated ? allocated * 2 : 1024;
            bodies.items = realloc(bodies.items, allocated * sizeof *bodies.items);
            if (!bodies.items) fail("no memory");
        }
        bodies.items[bodies.count++] =
            amqp_bytes_malloc_dup((amqp_bytes_t){(size_t)(line + length - tab - 1), tab + 1});
    }
    free(line);
    fclose(file);
    if (bodies.count == 0) fail("there are no deliveries");
    return bodies;
}

static amqp_table_entry_t text_header(const char *key, const char *value) {
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key)};
    entry.value.kind = AMQP_FIELD_KIND_UTF8;
    entry.value.value.bytes = amqp_cstring_bytes(value);
    return entry;
}

static amqp_table_entry_t number_header(const char *key, int64_t value) {
    amqp_table_entry_t entry = {.key = amqp_cstring_bytes(key)};
    entry.value.kind = AMQP_FIELD_KIND_I64;
    entry.value.value.i64 = value;
    return entry;
}

static void publish(amqp_connection_state_t connection, long number, amqp_bytes_t body) {
    char id[48], received[32];
    time_t seconds = time(NULL);
    snprintf(id, sizeof id, "raw-%ld-%ld", (long)seconds, number);
    strftime(received, sizeof received, "%Y-%m-%dT%H:%M:%S.000Z", gmtime(&seconds));
    amqp_table_entry_t headers[] = {number_header("attempt", 0), number_header("schema-version", 1),
                                    text_header("received-at", received), text_header("signature", "valid")};
    amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG |
                  AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_CORRELATION_ID_FLAG | AMQP_BASIC_TYPE_FLAG |
                  AMQP_BASIC_TIMESTAMP_FLAG | AMQP_BASIC_APP_ID_FLAG,
        .content_type = amqp_cstring_bytes("application/json"),
        .delivery_mode = AMQP_DELIVERY_PERSISTENT,
        .headers = {4, headers},
        .message_id = amqp_cstring_bytes(id),
        .correlation_id = amqp_cstring_bytes(id),
        .type = amqp_cstring_bytes("calendly.invitee.created"),
        .timestamp = (uint64_t)seconds,
        .app_id = amqp_cstring_bytes("neff"),
    };
    if (amqp_basic_publish(connection, 1, amqp_cstring_bytes("inbound"),
                           amqp_cstring_bytes("calendly.invitee.created"), 1, 0, &properties, body) != AMQP_STATUS_OK)
        fail("a publish failed");
}

/* Waits for the broker's next word and returns the highest tag that is confirmed in order. */
static uint64_t await_confirms(amqp_connection_state_t connection, uint64_t confirmed, unsigned char *single, long window) {
    int has_more = 1;
    while (has_more) {
        amqp_frame_t frame;
        struct timeval limit = {30, 0};
        if (amqp_simple_wait_frame_noblock(connection, &frame, &limit) != AMQP_STATUS_OK) fail("no confirm in time");
        if (frame.frame_type == AMQP_FRAME_METHOD) {
            if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD) fail("the broker refused or returned a message");
            amqp_basic_ack_t ack = *(amqp_basic_ack_t *)frame.payload.method.decoded;
            if (ack.multiple) {
                for (uint64_t tag = confirmed + 1; tag <= ack.delivery_tag; tag++) single[tag % (uint64_t)window] = 1;
            } else {
                single[ack.delivery_tag % (uint64_t)window] = 1;
            }
        }
        amqp_maybe_release_buffers(connection);
        has_more = amqp_frames_enqueued(connection) || amqp_data_in_buffer(connection);
    }
    while (single[(confirmed + 1) % (uint64_t)window]) single[++confirmed % (uint64_t)window] = 0;
    return confirmed;
}

int main(int count, char **values) {
    long window = argument(count, values, 1, usage);
    double seconds = (double)argument(count, values, 2, usage);
    long limit = argument(count, values, 3, usage);
    if (count < 5 || window < 1) fail(usage);
    struct bodies bodies = read_bodies(values[4]);
    /* One place more than there can be in flight: the next tag's place is always free. */
    unsigned char *single = calloc((size_t)window + 1, 1);
    amqp_connection_state_t connection = connect_broker();
    amqp_confirm_select(connection, 1);
    require(amqp_get_rpc_reply(connection), "no confirms");

    uint64_t sent = 0, confirmed = 0;
    double start = now();
    for (;;) {
        int is_over = (limit && (long)sent >= limit) || (seconds > 0 && now() - start >= seconds);
        while (!is_over && sent - confirmed < (uint64_t)window && (!limit || (long)sent < limit)) {
            publish(connection, (long)sent, bodies.items[sent % bodies.count]);
            sent++;
        }
        if (is_over && sent == confirmed) break;
        confirmed = await_confirms(connection, confirmed, single, window + 1);
    }
    double elapsed = now() - start;
    printf("{\"messages\": %llu, \"seconds\": %.6f}\n", (unsigned long long)confirmed, elapsed);
    disconnect_broker(connection);
    return 0;
}
