import AMQP
import Settings

extension Checkup {
    /// Whether the RabbitMQ library carries the mends for damaged input.
    @Sendable static func library(_ settings: Settings) async -> [Diagnosis] {
        let name = "librabbitmq"
        guard let package = LibraryPackage.installed() else {
            return [
                Diagnosis(
                    name, .warning,
                    "version \(LibraryPackage.loadedVersion) is loaded, and no Debian package says what was mended in it",
                    remedy: "See to it that it has the mends of Debian's \(LibraryPackage.required).")
            ]
        }
        if package.isSufficient {
            return [Diagnosis(name, .well, "\(package.version), and \(LibraryPackage.required) or later is needed")]
        }
        return [
            Diagnosis(
                name, .broken, "\(package.version) can be harmed by damaged input",
                remedy: "Install librabbitmq4 \(LibraryPackage.required) or later and restart every service.")
        ]
    }
}
