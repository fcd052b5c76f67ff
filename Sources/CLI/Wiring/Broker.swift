import AMQP
import Settings

/// The broker as the settings name it.
enum Broker {
    static func configuration(_ settings: Settings, purpose: String) throws -> AMQPConfiguration {
        try AMQPConfiguration(url: settings.value(Keys.amqpURL), connectionName: "neff-\(purpose)")
    }

    static func virtualHost() throws -> String {
        try configuration(try Settings.load(), purpose: "status").virtualHost
    }
}
