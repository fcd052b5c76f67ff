// swift-tools-version: 6.2
import PackageDescription

/// Settings every target of ours is built with.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

/// Targets without C pointers are also checked for unsafe constructs.
let pure: [SwiftSetting] = strict + [.strictMemorySafety()]

let log: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals: Target.Dependency = .product(name: "UnixSignals", package: "swift-service-lifecycle")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
let nio: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let httpTypes: Target.Dependency = .product(name: "HTTPTypes", package: "swift-http-types")
let metricsTestKit: Target.Dependency = .product(name: "MetricsTestKit", package: "swift-metrics")
let lifecycleTestKit: Target.Dependency = .product(name: "ServiceLifecycleTestKit", package: "swift-service-lifecycle")

let package = Package(
    name: "neff-scheduling",
    products: [
        .executable(name: "neff", targets: ["CLI"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // C libraries
        .systemLibrary(
            name: "CRabbitMQ", pkgConfig: "librabbitmq", providers: [.apt(["librabbitmq-dev", "libssl-dev"])]),
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),

        .systemLibrary(name: "CLinux"),

        // Clients over them
        .target(name: "OwnerThread", dependencies: ["CLinux"], swiftSettings: strict),
        .target(
            name: "AMQP", dependencies: ["CLinux", "CRabbitMQ", "OwnerThread", log, metrics, lifecycle],
            swiftSettings: strict),
        .target(
            name: "Postgres", dependencies: ["CLibPQ", "OwnerThread", log, metrics, lifecycle], swiftSettings: strict),
        .target(name: "Transport", dependencies: ["CCurl", "OwnerThread", log], swiftSettings: strict),

        // What the business means
        .target(name: "Domain", swiftSettings: pure),
        .target(name: "Calendly", dependencies: ["Domain", crypto], swiftSettings: pure),

        // How it travels and where it rests
        .target(name: "Traces", swiftSettings: pure),
        .target(name: "Messaging", dependencies: ["AMQP", "Domain", "Traces", crypto], swiftSettings: pure),
        .target(
            name: "Topology",
            dependencies: ["AMQP", "Transport", log, crypto, .product(name: "Yams", package: "Yams")],
            resources: [.embedInCode("Resources/topology.yaml")], swiftSettings: strict),
        .target(
            name: "Persistence",
            dependencies: ["Calendly", "Domain", "Messaging", "Postgres", "Traces", crypto, cryptoExtras],
            resources: [.embedInCode("Migrations")], swiftSettings: strict),

        // Processes
        .target(name: "Settings", dependencies: [log], swiftSettings: pure),
        .target(
            name: "Telemetry",
            dependencies: ["CLinux", "OwnerThread", "Traces", "Transport", log, metrics, lifecycle],
            swiftSettings: strict),
        .target(
            name: "WorkerRuntime",
            dependencies: [
                "AMQP", "Domain", "Messaging", "Persistence", "Postgres", "Traces", log, metrics, lifecycle,
            ],
            swiftSettings: strict),
        .target(
            name: "SyncWorker",
            dependencies: ["Calendly", "Domain", "Messaging", "Persistence", "Postgres", "WorkerRuntime", log],
            swiftSettings: strict),
        // Who could go and when, for those who book and for those who only ask
        .target(
            name: "Scheduling", dependencies: ["Domain", "Persistence", "Postgres"], swiftSettings: strict),
        .target(
            name: "SchedulingWorker",
            dependencies: ["Domain", "Messaging", "Persistence", "Postgres", "Scheduling", "WorkerRuntime", log],
            swiftSettings: strict),
        .target(
            name: "NotificationWorker",
            dependencies: [
                "Domain", "Messaging", "Persistence", "Postgres", "Traces", "Transport", "WorkerRuntime", log, metrics,
                .product(name: "Mustache", package: "swift-mustache"),
            ],
            resources: [.embedInCode("Templates")], swiftSettings: strict),
        .target(
            name: "Ingress",
            dependencies: [
                "AMQP", "Calendly", "Domain", "Messaging", "Persistence", "Postgres", "Scheduling", "Traces",
                "Transport",
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                httpTypes, nio, nioPosix, log, metrics, lifecycle, crypto,
            ],
            resources: [.embedInCode("Resources/openapi.json")], swiftSettings: strict),
        .target(
            name: "Sandbox", dependencies: ["Calendly", "Domain", "Messaging", "Transport"], swiftSettings: strict),
        .executableTarget(
            name: "CLI",
            dependencies: [
                "AMQP", "Calendly", "Domain", "Ingress", "Messaging", "NotificationWorker", "Persistence", "Postgres",
                "Sandbox", "SchedulingWorker", "Settings", "SyncWorker", "Telemetry", "Topology", "Traces",
                "Transport",
                "WorkerRuntime",
                log, metrics, lifecycle, signals, crypto,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        // Faults: drives the built program from outside; no part of it
        .target(
            name: "Chaos",
            dependencies: [
                "AMQP", "Calendly", "Domain", "Messaging", "Postgres", "Sandbox", "TestSupport", "Transport", log,
            ], swiftSettings: strict),
        .executableTarget(
            name: "neff-chaos",
            dependencies: ["Chaos", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Sources/ChaosCommand", swiftSettings: strict),

        // Measured by scripts/bench, not shipped
        .executableTarget(
            name: "PlainWorker",
            dependencies: ["AMQP", "Messaging", "Postgres", "Telemetry", "WorkerRuntime", log, lifecycle, signals],
            path: "Benchmarks/PlainWorker", swiftSettings: strict),

        // Tests
        .target(
            name: "TestSupport",
            dependencies: ["AMQP", "CLinux", "Messaging", "Persistence", "Postgres", "Traces", "Transport", log],
            swiftSettings: strict),
        .testTarget(name: "OwnerThreadTests", dependencies: ["OwnerThread"], swiftSettings: strict),
        .testTarget(name: "SettingsTests", dependencies: ["Settings"], swiftSettings: pure),
        .testTarget(
            name: "AMQPTests",
            dependencies: [
                "AMQP", "CRabbitMQ", "OwnerThread", "TestSupport", log, metrics, lifecycle, lifecycleTestKit,
            ], swiftSettings: strict),
        .testTarget(
            name: "PostgresTests", dependencies: ["Postgres", "TestSupport", log, lifecycle], swiftSettings: strict),
        .testTarget(name: "MessagingTests", dependencies: ["AMQP", "Messaging", "TestSupport"], swiftSettings: strict),
        .testTarget(
            name: "TelemetryTests",
            dependencies: [
                "OwnerThread", "Telemetry", "TestSupport", "Traces", log, metrics, lifecycle, lifecycleTestKit,
            ], swiftSettings: strict),
        .testTarget(name: "TracesTests", dependencies: ["Traces"], swiftSettings: strict),
        .testTarget(
            name: "PersistenceTests",
            dependencies: ["Domain", "Messaging", "Persistence", "Postgres", "TestSupport", "Traces", log],
            swiftSettings: strict),
        .testTarget(
            name: "WorkerRuntimeTests",
            dependencies: [
                "AMQP", "Domain", "Messaging", "Persistence", "Postgres", "Telemetry", "TestSupport", "Traces",
                "WorkerRuntime", log, metrics, lifecycle, lifecycleTestKit,
            ], swiftSettings: strict),
        // Not linked into the tests but started by them: a process that a message can kill.
        .executableTarget(
            name: "PoisonedWorker",
            dependencies: ["AMQP", "Messaging", "Postgres", "WorkerRuntime", log, lifecycle, signals],
            path: "Tests/PoisonedWorker", swiftSettings: strict),
        .testTarget(
            name: "CalendlyTests", dependencies: ["Calendly", "Domain", "TestSupport", crypto], exclude: ["Fixtures"],
            swiftSettings: strict),
        .testTarget(
            name: "SyncWorkerTests",
            dependencies: [
                "Calendly", "Domain", "Messaging", "Persistence", "Postgres", "SyncWorker", "TestSupport",
                "WorkerRuntime", log,
            ], swiftSettings: strict),
        .testTarget(
            name: "IngressTests",
            dependencies: [
                "AMQP", "Calendly", "Domain", "Ingress", "Messaging", "Persistence", "Postgres", "TestSupport",
                "Traces", "Transport", httpTypes, nio, nioPosix, log, metrics, lifecycle, crypto, metricsTestKit,
            ], resources: [.copy("Fixtures")], swiftSettings: strict),
        .testTarget(
            name: "TransportTests", dependencies: ["OwnerThread", "TestSupport", "Transport", log],
            resources: [.copy("Fixtures")], swiftSettings: strict),
        .testTarget(
            name: "TopologyTests", dependencies: ["AMQP", "TestSupport", "Topology", "Transport", log],
            swiftSettings: strict),
        .testTarget(name: "DomainTests", dependencies: ["Domain"], swiftSettings: pure),
        .testTarget(
            name: "SchedulingWorkerTests",
            dependencies: [
                "Domain", "Messaging", "Persistence", "Postgres", "Scheduling", "SchedulingWorker", "TestSupport",
                "WorkerRuntime", log,
            ], swiftSettings: strict),
        .testTarget(
            name: "NotificationWorkerTests",
            dependencies: [
                "Domain", "Messaging", "NotificationWorker", "Persistence", "Postgres", "TestSupport", "Transport",
                "WorkerRuntime", log, metrics,
            ], swiftSettings: strict),
        .testTarget(
            name: "ChaosTests",
            dependencies: ["Chaos", "Postgres", "Sandbox", "TestSupport", log], swiftSettings: strict),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "AMQP", "Domain", "Messaging", "Persistence", "Postgres", "Sandbox", "TestSupport", "Topology",
                "Traces", "Transport", "WorkerRuntime", log, lifecycle,
            ], swiftSettings: strict),
    ]
)
