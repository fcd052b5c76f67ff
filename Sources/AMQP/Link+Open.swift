import CRabbitMQ
import Glibc

extension Link {
    /// Connects, checks the peer, logs in and opens the channel. Blocks the thread within the configured limits.
    static func open(_ configuration: AMQPConfiguration) throws(AMQPError) -> Link {
        try configuration.validate()
        let connection = try ConnectionHandle()
        try connect(connection.raw, configuration)

        let interval = max(.milliseconds(50), configuration.heartbeat / 4)
        guard let socket = SocketGuard(duplicating: amqp_get_sockfd(connection.raw), checkedEach: interval) else {
            throw AMQPError(.connectionLost, "no descriptor left")
        }
        let limit = configuration.connectTimeout
        let reply = socket.watching(limit + configuration.heartbeat) { login(connection.raw, configuration) }
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL:
            break
        case AMQP_RESPONSE_SERVER_EXCEPTION where reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD:
            let close = reply.reply.decoded.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            throw AMQPError(replyCode: close.reply_code, text: String(close.reply_text), of: .login)
        default:
            throw loginFailure(reply.library_error, configuration)
        }

        let frameMax = Int(amqp_get_frame_max(connection.raw))
        let heartbeat = amqp_get_heartbeat(connection.raw)
        // AMQP 0-9-1 section 4.2.3: no peer may ask for less than 4096.
        guard frameMax >= 4_096 else {
            throw AMQPError(.protocolViolation, "the broker allows frames of \(frameMax) bytes only")
        }
        let link = Link(
            connection: connection, socket: socket,
            heartbeat: heartbeat > 0 ? .seconds(Int(heartbeat)) : configuration.heartbeat, frameMax: frameMax,
            rpcTimeout: configuration.rpcTimeout)
        try link.openChannel()
        return link
    }

    private static func connect(
        _ connection: amqp_connection_state_t, _ configuration: AMQPConfiguration
    ) throws(AMQPError) {
        // Where the verify callback leaves its verdict while the handshake runs.
        let verdict = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        verdict.initialize(to: Int(X509_V_OK))
        defer { verdict.deallocate() }
        var context: OpaquePointer?
        defer { if let context { crabbitmq_forget_verdict(context) } }

        let socket: OpaquePointer?
        if let tls = configuration.tls {
            socket = amqp_ssl_socket_new(connection)
            if let socket { context = try prepare(socket, tls, host: configuration.host, verdict: verdict) }
        } else {
            socket = amqp_tcp_socket_new(connection)
        }
        guard let socket else { throw AMQPError(.connectionLost, "no memory for a socket") }

        var limit = timeval(configuration.connectTimeout)
        let status = amqp_socket_open_noblock(socket, configuration.host, CInt(configuration.port), &limit)
        if status != AMQP_STATUS_OK.rawValue {
            throw connectFailure(status, verdict: verdict.pointee, configuration)
        }
    }

    /// Loads the files and has OpenSSL check the chain and the name; answers the context.
    private static func prepare(
        _ socket: OpaquePointer, _ tls: AMQPConfiguration.TLS, host: String, verdict: UnsafeMutablePointer<Int>
    ) throws(AMQPError) -> OpaquePointer {
        guard let memory = amqp_ssl_socket_get_context(socket) else {
            throw AMQPError(.tls, "OpenSSL could not be started")
        }
        let context = OpaquePointer(memory)
        if let file = tls.caFile {
            guard amqp_ssl_socket_set_cacert(socket, file) == AMQP_STATUS_OK.rawValue else {
                throw AMQPError(.tls, "cacertfile \(file) cannot be read as PEM certificates")
            }
        } else if SSL_CTX_set_default_verify_paths(context) != 1 {
            throw AMQPError(.tls, "the system's trusted certificates cannot be read; give cacertfile")
        }
        // Before the key is loaded, because it also forbids OpenSSL to ask the terminal for a passphrase.
        guard crabbitmq_require_peer(context, host, verdict) == 1 else {
            throw AMQPError(.tls, "OpenSSL refuses to check for the name \(host)")
        }
        if let certificate = tls.certificateFile, let key = tls.keyFile {
            guard amqp_ssl_socket_set_key(socket, certificate, key) == AMQP_STATUS_OK.rawValue,
                SSL_CTX_check_private_key(context) == 1
            else {
                crabbitmq_forget_verdict(context)
                throw AMQPError(
                    .tls, "certfile \(certificate) and keyfile \(key) are not a PEM certificate and its unprotected key"
                )
            }
        }
        amqp_ssl_socket_set_verify_peer(socket, 1)
        // The handshake has checked the name by then, addresses included, which the library's own check rejects.
        amqp_ssl_socket_set_verify_hostname(socket, 0)
        return context
    }

    private static func login(
        _ connection: amqp_connection_state_t, _ configuration: AMQPConfiguration
    ) -> amqp_rpc_reply_t {
        var limit = timeval(configuration.connectTimeout)
        _ = amqp_set_handshake_timeout(connection, &limit)
        let arena = Arena()
        // Keeps the arena, and so the table made in it, until the library is done with it.
        defer { arena.reset() }
        var properties = arena.table([
            "connection_name": .string(configuration.connectionName),
            "product": "neff-scheduling",
            "information": "",
            // The library announces two of its own, but neither of those that make the broker tell us when it blocks
            // the connection or ends a subscription.
            "capabilities": [
                "connection.blocked": true, "consumer_cancel_notify": true, "publisher_confirms": true,
                "basic.nack": true,
            ],
        ])
        let heartbeat = CInt(configuration.heartbeat.components.seconds)
        switch configuration.authentication {
        case .plain:
            return crabbitmq_login_plain(
                connection, configuration.virtualHost, CInt(probingChannel), CInt(frameMax), heartbeat, &properties,
                configuration.user, configuration.password.value)
        case .external:
            return crabbitmq_login_external(
                connection, configuration.virtualHost, CInt(probingChannel), CInt(frameMax), heartbeat, &properties,
                configuration.user)
        }
    }

    private static func connectFailure(
        _ status: CInt, verdict: Int, _ configuration: AMQPConfiguration
    ) -> AMQPError {
        let address = "\(configuration.host):\(configuration.port)"
        if verdict != Int(X509_V_OK) {
            let reason = String(cString: X509_verify_cert_error_string(verdict))
            switch CInt(verdict) {
            case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
                return AMQPError(
                    .tlsNameMismatch, "the certificate of \(address) is made out to another name (\(reason))")
            default:
                return AMQPError(.tls, "the certificate of \(address) is not trusted: \(reason)")
            }
        }
        switch amqp_status_enum(status) {
        case AMQP_STATUS_HOSTNAME_RESOLUTION_FAILED:
            return AMQPError(.unreachable, "the name \(configuration.host) is unknown")
        case AMQP_STATUS_TIMEOUT:
            return AMQPError(.unreachable, "no answer from \(address) within \(configuration.connectTimeout)")
        case AMQP_STATUS_SOCKET_ERROR:
            return AMQPError(.unreachable, "\(address) refuses the connection or cannot be reached")
        case AMQP_STATUS_SSL_ERROR, AMQP_STATUS_SSL_CONNECTION_FAILED, AMQP_STATUS_SSL_PEER_VERIFY_FAILED,
            AMQP_STATUS_SSL_HOSTNAME_VERIFY_FAILED:
            return AMQPError(
                .tls,
                "the TLS handshake with \(address) failed; is it a TLS port, and does the broker accept our certificate?"
            )
        default:
            return AMQPError(.unreachable, "\(address): \(String(cString: amqp_error_string2(status)))")
        }
    }

    private static func loginFailure(_ status: CInt, _ configuration: AMQPConfiguration) -> AMQPError {
        let address = "\(configuration.host):\(configuration.port)"
        switch amqp_status_enum(status) {
        case AMQP_STATUS_BROKER_UNSUPPORTED_SASL_METHOD:
            return AMQPError(.authenticationRefused, "the broker does not offer \(configuration.authentication) login")
        case AMQP_STATUS_TIMEOUT:
            return AMQPError(.unreachable, "\(address) accepts connections but does not speak AMQP in time")
        case AMQP_STATUS_CONNECTION_CLOSED, AMQP_STATUS_SOCKET_ERROR, AMQP_STATUS_SSL_ERROR:
            let hint =
                configuration.tls == nil
                ? "is it a TLS port?" : "does the broker want a client certificate (certfile, keyfile)?"
            return AMQPError(.connectionLost, "\(address) hung up during the login; \(hint)")
        default:
            return AMQPError(status: status, "login")
        }
    }
}
