import AMQP
import Ingress
import Postgres
import Settings
import Topology

extension Failure {
    /// What a database error means: whose fault it is decides the exit code, and the line says what to do next.
    init(_ error: PostgresError) {
        switch error.code {
        case .authenticationFailed:
            self.init(.accessRefused, "PostgreSQL refused the user or password of DATABASE_URL. \(error)")
        case .invalidConfiguration:
            self.init(.configuration, "DATABASE_URL cannot be used. \(error)")
        case .schemaTooNew:
            self.init(.configuration, "\(error) Install a newer neff, or point DATABASE_URL at the right database.")
        case .schemaTooOld:
            self.init(.configuration, "\(error) Run `neff migrate up`.")
        case .invalidMigration:
            self.init(.configuration, "\(error)")
        case .connectionFailed, .connectionLost, .timeout, .poolTimeout, .tlsFailed:
            self.init(
                .unavailable, "PostgreSQL cannot be reached. \(error) Check DATABASE_URL and that the server runs.")
        default:
            if error.sqlState == .insufficientPrivilege {
                self.init(.accessRefused, "PostgreSQL refused the permission. \(error)")
            } else if error.sqlState == .undefinedTable {
                self.init(.configuration, "The database lacks this program's tables. Run `neff migrate up`.")
            } else {
                self.init(.software, "PostgreSQL reported an error. \(error)")
            }
        }
    }

    /// What a broker error means.
    init(_ error: AMQPError) {
        switch error.code {
        case .invalidArgument:
            self.init(.configuration, "AMQP_URL cannot be used. \(error)")
        case .authenticationRefused, .virtualHostRefused, .accessRefused:
            self.init(
                .accessRefused,
                "RabbitMQ refused access. \(error) Check the user, password and virtual host of AMQP_URL.")
        case .notFound:
            self.init(.configuration, "RabbitMQ lacks a queue or exchange. \(error) Run `neff topology apply`.")
        default:
            self.init(.unavailable, "RabbitMQ cannot be reached. \(error) Check AMQP_URL and that the broker runs.")
        }
    }

    /// What an error of the management API or the topology means.
    init(_ error: TopologyError) {
        switch error.code {
        case .unreachable:
            self.init(.unavailable, "\(error) Check RABBITMQ_MANAGEMENT_URL and that the plugin is enabled.")
        case .accessRefused:
            self.init(.accessRefused, "\(error) Check the user of RABBITMQ_MANAGEMENT_URL and its tags.")
        case .invalidSetting: self.init(.configuration, "\(error)")
        case .conflict: self.init(.findings, "\(error)")
        default: self.init(.software, "\(error)")
        }
    }

    /// What keeps the ingress from starting: always something that it was told.
    init(_ error: IngressError) {
        let settings =
            switch error.code {
            case .cannotListen: "\(Keys.httpAddress.name): "
            case .invalidCertificate: "\(Keys.httpCertificate.name), \(Keys.httpKey.name): "
            default: ""
            }
        self.init(.configuration, "\(settings)\(error)")
    }
}
