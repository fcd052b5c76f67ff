/// Every setting of every process. The table in the README and `neff settings` are made from it.
package enum Keys {
    /// Where a process runs; production refuses sample credentials.
    package enum Mode: String, CaseIterable, Sendable {
        case development, production
    }

    /// How much is logged.
    package enum LogLevel: String, CaseIterable, Sendable {
        case trace, debug, info, notice, warning, error
    }

    /// What is done with a mail that was cut off at the one instant in which nobody can know whether it was accepted.
    package enum AmbiguousMail: String, CaseIterable, Sendable {
        /// Send it again under the same Message-ID, so that the receiving side can drop the repeat.
        case resend
        /// Keep it as unknown until an operator decides.
        case hold
    }

    // Everywhere
    package static let mode = SettingKey<Mode>.choice(
        "NEFF_MODE", "Production refuses sample credentials and unencrypted mail.", default: .development)
    package static let logLevel = SettingKey<LogLevel>.choice(
        "NEFF_LOG_LEVEL", "The least severe level that is logged.", default: .info)
    package static let adminAddress = SettingKey<HostAndPort>.address(
        "NEFF_ADMIN_ADDRESS", "Where /healthz, /readyz and /metrics are served; port 0 takes a free one.",
        default: "127.0.0.1:0")
    package static let otlpEndpoint = SettingKey<String>(
        "NEFF_OTLP_ENDPOINT", "A collector that takes traces as OTLP over HTTP; without it, no spans are kept.",
        format: "http://host:4318"
    ) { text throws(InvalidSetting) in
        guard text.hasPrefix("http://") || text.hasPrefix("https://") else {
            throw InvalidSetting("must begin with http:// or https://")
        }
        return text
    }
    package static let traceShare = SettingKey<Int>.integer(
        "NEFF_TRACE_PERCENT", "Of the traces that begin here, how many are kept; callers decide about their own.",
        in: 0...100, default: 100)
    package static let databaseURL = SettingKey<String>.text(
        "DATABASE_URL", "PostgreSQL: the truth. Each service should have its own role.",
        format: "postgres://user:password@host:port/database?sslmode=...", isSecret: true)
    package static let databasePoolSize = SettingKey<Int>.integer(
        "NEFF_DATABASE_POOL_SIZE", "Connections to PostgreSQL that this process may hold.", in: 1...500, default: 16)
    package static let amqpURL = SettingKey<String>.text(
        "AMQP_URL", "RabbitMQ. Each service should have its own user.",
        format: "amqps://user:password@host:port/vhost?cacertfile=...", isSecret: true)
    package static let managementURL = SettingKey<String>.text(
        "RABBITMQ_MANAGEMENT_URL", "RabbitMQ's management API, for topology, status and doctor.",
        format: "https://user:password@host:port", isSecret: true)

    // Ingress
    package static let httpAddress = SettingKey<HostAndPort>.address(
        "NEFF_HTTP_ADDRESS", "Where webhooks and the API are served.", default: "127.0.0.1:8080")
    package static let httpCertificate = SettingKey<String>.text(
        "NEFF_HTTP_TLS_CERTIFICATE", "Certificate chain for HTTPS; without it, plain HTTP is served.",
        format: "PEM file")
    package static let httpKey = SettingKey<String>.text(
        "NEFF_HTTP_TLS_KEY", "Private key of the certificate.", format: "PEM file")
    package static let httpMaxConnections = SettingKey<Int>.integer(
        "NEFF_HTTP_MAX_CONNECTIONS", "Connections held open at once; more wait in the kernel's queue.",
        in: 1...65_536, default: 1_024)
    package static let trustedProxies = SettingKey<[String]>(
        "NEFF_TRUSTED_PROXIES",
        "Proxies before the ingress, whose X-Forwarded-For tells where a client is; for the throttle of log-ins.",
        format: "addresses or ranges such as 10.0.0.0/8, comma-separated"
    ) { text throws(InvalidSetting) in
        let proxies = text.split(separator: ",").map { String($0.filter { $0 != " " }) }
        guard !proxies.isEmpty, !proxies.contains("") else {
            throw InvalidSetting("must list addresses or ranges, such as 10.0.0.7,10.1.0.0/16")
        }
        return proxies
    }
    package static let signingKey = SettingKey<String>.text(
        "CALENDLY_WEBHOOK_SIGNING_KEY", "The key that Calendly signs webhooks with.", isSecret: true)
    package static let previousSigningKey = SettingKey<String>.text(
        "CALENDLY_WEBHOOK_SIGNING_KEY_PREVIOUS", "The key before the last change, still accepted.", isSecret: true)
    package static let signatureTolerance = SettingKey<Duration>.seconds(
        "NEFF_WEBHOOK_TOLERANCE_S", "Age from which a signed webhook counts as stale, a hint instead of a fact.",
        in: 1...86_400, default: 180)
    package static let publishWindow = SettingKey<Int>.integer(
        "NEFF_PUBLISH_WINDOW", "Publishes that may await the broker's confirm at once; the ingress answers 503 beyond.",
        in: 1...65_536, default: 2_048)
    package static let confirmTimeout = SettingKey<Duration>.milliseconds(
        "NEFF_CONFIRM_TIMEOUT_MS", "How long a publish may await its confirm before it counts as unknown.",
        in: 100...60_000, default: 5_000)

    // Workers
    package static let concurrency = SettingKey<Int>.integer(
        "NEFF_WORKER_CONCURRENCY", "Messages that a worker handles at once.", in: 1...256, default: 8)
    package static let prefetch = SettingKey<Int>.integer(
        "NEFF_WORKER_PREFETCH", "Unsettled messages that the broker may hand to a worker.", in: 1...2_000, default: 256)
    package static let batch = SettingKey<Int>.integer(
        "NEFF_WORKER_BATCH", "Waiting messages that may share one transaction.", in: 1...256, default: 64)
    package static let handlerTimeout = SettingKey<Duration>.milliseconds(
        "NEFF_HANDLER_TIMEOUT_MS", "How long one message may be worked on.", in: 100...1_200_000, default: 30_000)
    package static let drainTimeout = SettingKey<Duration>.milliseconds(
        "NEFF_DRAIN_TIMEOUT_MS", "How long a stopping process may finish what it has begun.", in: 0...300_000,
        default: 20_000)
    package static let maxAttempts = SettingKey<Int>.integer(
        "NEFF_MAX_ATTEMPTS", "Failed attempts after which a message is a dead letter.", in: 1...50, default: 8)
    package static let retryTiers = SettingKey<[String]>(
        "NEFF_RETRY_TIERS", "The waits between attempts, in order; the last one repeats.",
        format: "tiers of topology.yaml, comma-separated", default: "5s,30s,2m,10m,1h,6h"
    ) { text throws(InvalidSetting) in
        let tiers = text.split(separator: ",").map(String.init)
        let known = ["5s", "30s", "2m", "10m", "1h", "6h"]
        guard !tiers.isEmpty, tiers.allSatisfy(known.contains) else {
            throw InvalidSetting("must list tiers out of: \(known.joined(separator: ", "))")
        }
        return tiers
    }
    package static let siteTimeZone = SettingKey<String>.text(
        "NEFF_SITE_TIME_ZONE", "Zone of sites whose own zone is not known.", format: "IANA name",
        default: "America/New_York")
    package static let rescheduleWait = SettingKey<Duration>.seconds(
        "NEFF_RESCHEDULE_WAIT_S",
        "How long the second half of a reschedule may be missing before people are told to look.",
        in: 1...86_400, default: 900)

    // Dead letters
    package static let alertLetters = SettingKey<Int>.integer(
        "NEFF_ALERT_LETTERS", "Dead letters of one queue within five minutes that raise an alert.", in: 1...1_000_000,
        default: 20)
    package static let alertRetryAge = SettingKey<Duration>.seconds(
        "NEFF_ALERT_RETRY_AGE_S", "How long a message may be retried before that raises an alert.",
        in: 60...604_800, default: 3_600)
    package static let letterRetention = SettingKey<Int>.integer(
        "NEFF_LETTER_RETENTION_DAYS", "Days for which resolved dead letters are kept; 0 keeps them for ever.",
        in: 0...3_650, default: 0)

    package static let rehearsalDatabaseURL = SettingKey<String>.text(
        "NEFF_REHEARSAL_DATABASE_URL",
        "PostgreSQL with the rights of the workers, for what `dead-letters show` tries and undoes; DATABASE_URL if not set.",
        format: "as DATABASE_URL", isSecret: true)

    // Mail
    package static let smtpURL = SettingKey<String>.text(
        "SMTP_URL", "The mail server. STARTTLS is required unless smtps is used.",
        format: "smtp://user:password@host:587?cafile=...", isSecret: true)
    package static let mailFrom = SettingKey<String>.text(
        "NEFF_MAIL_FROM", "Sender of all mail.", format: "Name <address>",
        default: "Neff Paving <scheduling@neffpaving.example>")
    package static let mailReplyTo = SettingKey<String>.text(
        "NEFF_MAIL_REPLY_TO", "Where answers to our mail go; the sender if not set.", format: "Name <address>")
    package static let officePhone = SettingKey<String>.text(
        "NEFF_OFFICE_PHONE", "The number that mail tells people to call.", default: "the office")
    package static let officeEmail = SettingKey<String>.text(
        "NEFF_OFFICE_EMAIL", "Where the office reads of bookings that nobody can go to.", format: "address")
    package static let ambiguousMail = SettingKey<AmbiguousMail>.choice(
        "NEFF_AMBIGUOUS_MAIL", "What is done with a mail cut off while the server was taking it.", default: .resend)
    package static let stateDirectory = SettingKey<String>.text(
        "NEFF_STATE_DIR", "Where the ingresses and notification workers of a host keep their journals.",
        format: "folder", default: "/var/lib/neff")

    /// All of them, in the order in which people read them.
    package static let all: [SettingDescription] = [
        mode.described(), logLevel.described(), adminAddress.described(), otlpEndpoint.described(isOptional: true),
        traceShare.described(), databaseURL.described(),
        databasePoolSize.described(), amqpURL.described(), managementURL.described(isOptional: true),
        httpAddress.described(), httpCertificate.described(isOptional: true), httpKey.described(isOptional: true),
        httpMaxConnections.described(), trustedProxies.described(isOptional: true), signingKey.described(),
        previousSigningKey.described(isOptional: true),
        signatureTolerance.described(), publishWindow.described(), confirmTimeout.described(),
        concurrency.described(), prefetch.described(), batch.described(), handlerTimeout.described(),
        drainTimeout.described(), maxAttempts.described(), retryTiers.described(), siteTimeZone.described(),
        rescheduleWait.described(), alertLetters.described(), alertRetryAge.described(), letterRetention.described(),
        rehearsalDatabaseURL.described(isOptional: true),
        smtpURL.described(), mailFrom.described(), mailReplyTo.described(isOptional: true),
        officePhone.described(), officeEmail.described(isOptional: true), ambiguousMail.described(),
        stateDirectory.described(),
    ]
}
