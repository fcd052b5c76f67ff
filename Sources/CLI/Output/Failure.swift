import AMQP
import ArgumentParser
import Ingress
import NotificationWorker
import Postgres
import Settings
import Telemetry
import Topology
import Transport

/// An end that is not a success: one line for people and an exit code for programs.
///
/// The codes follow `sysexits.h`, so that service managers know them.
struct Failure: Error {
    /// Why a command ended as it did.
    enum Code: Int32, CaseIterable {
        /// The command looked and found something wrong (such as `doctor` and `topology verify`).
        case findings = 1
        case usage = 64
        /// What the command was given to read is wrong.
        case data = 65
        /// RabbitMQ, PostgreSQL or the mail server cannot be reached.
        case unavailable = 69
        case software = 70
        /// A server was reached and refused the credentials or the permission.
        case accessRefused = 77
        case configuration = 78

        var meaning: String {
            switch self {
            case .findings: "the command looked and found something wrong"
            case .usage: "the command line is wrong"
            case .data: "the data that the command was given is wrong"
            case .unavailable: "RabbitMQ, PostgreSQL or the mail server cannot be reached"
            case .software: "an error in this program"
            case .accessRefused: "a server refused the credentials or the permission"
            case .configuration: "a setting is missing or wrong, or the database's schema does not fit"
            }
        }
    }

    let code: Code
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// What an error means to the caller of the program.
    init(_ error: any Error) {
        switch error {
        case let failure as Failure: self = failure
        case let error as SettingsError: self.init(.configuration, error.description)
        case let error as PostgresError: self.init(error)
        case let error as AMQPError: self.init(error)
        case let error as TopologyError: self.init(error)
        case let error as IngressError: self.init(error)
        case let error as AdminServerError: self.init(.configuration, error.description)
        case let error as JournalError: self.init(.configuration, error.description)
        case let error as SMTPConfiguration.Invalid:
            self.init(.configuration, "\(Keys.smtpURL.name) cannot be used: \(error)")
        case let error as TransportError: self.init(.unavailable, error.description)
        case let error as SMTPError: self.init(.unavailable, error.description)
        default: self.init(.software, String(describing: error))
        }
    }
}
