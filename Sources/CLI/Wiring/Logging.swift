import Logging
import Settings
import Telemetry

extension Settings {
    /// The logger of a process: JSON lines on standard error at the level that is set.
    func logger(_ label: String) throws(SettingsError) -> Logger {
        let level: Logger.Level =
            switch try value(Keys.logLevel) {
            case .trace: .trace
            case .debug: .debug
            case .info: .info
            case .notice: .notice
            case .warning: .warning
            case .error: .error
            }
        var logger = Logger(label: label) { JSONLogHandler(label: $0) }
        logger.logLevel = level
        return logger
    }
}
