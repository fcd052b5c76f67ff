import Logging
import Settings
import Telemetry

extension Settings {
    /// The least severe level that is logged.
    func logLevel() throws(SettingsError) -> Logger.Level {
        switch try value(Keys.logLevel) {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        }
    }

    /// A logger for a command that runs and ends: JSON lines on standard error.
    func logger(_ label: String) throws(SettingsError) -> Logger {
        var logger = Logger(label: label) { JSONLogHandler(label: $0) }
        logger.logLevel = try logLevel()
        return logger
    }
}
