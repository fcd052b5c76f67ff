/* What publisher and consumer share: one connection with one channel, opened from AMQP_URL. */
#pragma once

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_tcp_socket.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void require(amqp_rpc_reply_t reply, const char *what) {
    if (reply.reply_type != AMQP_RESPONSE_NORMAL) fail(what);
}

static amqp_connection_state_t connect_broker(void) {
    const char *text = getenv("AMQP_URL");
    struct amqp_connection_info info;
    char *url = text ? strdup(text) : NULL;
    if (!url || amqp_parse_url(url, &info) != AMQP_STATUS_OK) fail("AMQP_URL is missing or wrong");
    amqp_connection_state_t connection = amqp_new_connection();
    amqp_socket_t *socket = amqp_tcp_socket_new(connection);
    if (!socket || amqp_socket_open(socket, info.host, info.port) != AMQP_STATUS_OK) fail("no broker");
    require(amqp_login(connection, info.vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password),
            "log-in refused");
    amqp_channel_open(connection, 1);
    require(amqp_get_rpc_reply(connection), "no channel");
    free(url);
    return connection;
}

static void disconnect_broker(amqp_connection_state_t connection) {
    amqp_channel_close(connection, 1, AMQP_REPLY_SUCCESS);
    amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
    amqp_destroy_connection(connection);
}

static long argument(int count, char **values, int index, const char *usage) {
    if (index >= count) fail(usage);
    return atol(values[index]);
}
