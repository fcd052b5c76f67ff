#pragma once

#include <sys/time.h>
#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* amqp_login_with_properties takes its credentials variadically, which Swift cannot call. */
static inline amqp_rpc_reply_t crabbitmq_login_plain(
    amqp_connection_state_t connection, const char *virtual_host, int channel_max, int frame_max,
    int heartbeat_seconds, const amqp_table_t *properties, const char *user, const char *password) {
    return amqp_login_with_properties(connection, virtual_host, channel_max, frame_max, heartbeat_seconds,
                                      properties, AMQP_SASL_METHOD_PLAIN, user, password);
}

static inline amqp_rpc_reply_t crabbitmq_login_external(
    amqp_connection_state_t connection, const char *virtual_host, int channel_max, int frame_max,
    int heartbeat_seconds, const amqp_table_t *properties, const char *identity) {
    return amqp_login_with_properties(connection, virtual_host, channel_max, frame_max, heartbeat_seconds,
                                      properties, AMQP_SASL_METHOD_EXTERNAL, identity);
}

/* OpenSSL asks the terminal for the passphrase of a protected key unless told otherwise. */
static inline int crabbitmq_no_passphrase(char *buffer, int size, int for_writing, void *context) {
    (void)buffer, (void)size, (void)for_writing, (void)context;
    return -1;
}

/* Notes why a certificate was refused where the context's owner can read it: librabbitmq reports the fact alone. */
static inline int crabbitmq_note_verdict(int is_ok, X509_STORE_CTX *store) {
    if (!is_ok) {
        SSL *ssl = (SSL *)X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
        long *verdict = ssl ? (long *)SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)) : NULL;
        if (verdict) *verdict = X509_STORE_CTX_get_error(store);
    }
    return is_ok;
}

/* Makes OpenSSL itself check the chain and the name during the handshake, from TLS 1.2 on.
   The name check of librabbitmq 0.11 runs afterwards and knows no IP addresses. 1 on success. */
static inline int crabbitmq_require_peer(SSL_CTX *context, const char *host, long *verdict) {
    X509_VERIFY_PARAM *parameters = SSL_CTX_get0_param(context);
    SSL_CTX_set_default_passwd_cb(context, crabbitmq_no_passphrase);
    SSL_CTX_set_app_data(context, verdict);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, crabbitmq_note_verdict);
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) return 0;
    /* An address is looked for among the certificate's addresses, a name among its names. */
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1) return 1;
    ERR_clear_error();
    return X509_VERIFY_PARAM_set1_host(parameters, host, 0);
}

/* The context outlives the memory that the verdict was noted in. */
static inline void crabbitmq_forget_verdict(SSL_CTX *context) {
    SSL_CTX_set_app_data(context, NULL);
}
