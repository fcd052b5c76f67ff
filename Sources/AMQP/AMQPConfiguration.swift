/// Where the broker is and how to talk to it.
package struct AMQPConfiguration: Sendable {
    /// Files in PEM format. Without `caFile` the system's trusted certificates are used.
    package struct TLS: Sendable, Hashable {
        package var caFile: String?
        package var certificateFile: String?
        /// Not protected by a passphrase.
        package var keyFile: String?

        package init(caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
            self.caFile = caFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    /// How the broker learns who we are.
    package enum Authentication: Sendable, Hashable {
        /// User name and password.
        case plain
        /// By client certificate; needs the broker's plugin `rabbitmq_auth_mechanism_ssl`.
        case external
    }

    package var host: String
    package var port: Int
    package var user: String
    package var password: Secret
    package var virtualHost: String
    package var tls: TLS?
    package var authentication: Authentication = .plain
    /// Shown by the broker's tools next to the connection.
    package var connectionName: String
    /// A connection from which nothing was heard for two of these is given up. Whole seconds, at least 1.
    package var heartbeat: Duration = .seconds(10)
    /// For TCP and TLS together, and again for the login. Name resolution comes on top and is the system's affair.
    package var connectTimeout: Duration = .seconds(5)
    /// For each request that the broker answers (declare, consume, close ...).
    package var rpcTimeout: Duration = .seconds(5)
    /// The pauses between attempts to connect or to subscribe again.
    package var backoff: Backoff = Backoff()

    package init(
        host: String, port: Int, user: String, password: String, virtualHost: String, tls: TLS? = nil,
        connectionName: String
    ) {
        self.host = host
        self.port = port
        self.user = user
        self.password = Secret(password)
        self.virtualHost = virtualHost
        self.tls = tls
        self.connectionName = connectionName
    }

    /// A text that does not print itself.
    package struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable
    {
        let value: String
        init(_ value: String) { self.value = value }
        package var description: String { "<secret>" }
        package var debugDescription: String { "<secret>" }
        package var customMirror: Mirror { Mirror(self, children: [:]) }
    }
}
