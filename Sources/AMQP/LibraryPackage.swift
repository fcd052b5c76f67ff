import CRabbitMQ
import Foundation

/// The Debian package of the librabbitmq that is loaded.
///
/// The library reports its upstream version only, and Debian mends damage done by malformed frames (CVE-2026-44235,
/// -44236, -59986, -61547) within 0.11.0, so the package's revision is what counts.
package struct LibraryPackage: Sendable, Equatable {
    /// The first version of Debian 12 with the mends.
    package static let required = "0.11.0-1+deb12u3"

    /// As dpkg writes it: upstream version, dash, revision.
    package let version: String

    /// Whether the version is `required` or a later one.
    package var isSufficient: Bool { !DebianVersion(version).isOlder(than: DebianVersion(Self.required)) }

    /// The upstream version that the loaded library gives itself.
    package static var loadedVersion: String { String(cString: amqp_version()) }

    /// The installed package, from dpkg's database; nil if there is none, or if another library than its own is loaded.
    package static func installed() -> LibraryPackage? {
        guard let status = try? String(contentsOfFile: "/var/lib/dpkg/status", encoding: .utf8) else { return nil }
        return installed(in: status, loaded: loadedVersion)
    }

    /// Reads dpkg's database: paragraphs of `Field: value` lines, one for each package.
    static func installed(in status: String, loaded: String) -> LibraryPackage? {
        var fields: [Substring: Substring] = [:]
        // An empty line more ends the last paragraph.
        for line in (status + "\n").split(separator: "\n", omittingEmptySubsequences: false) {
            guard line.isEmpty else {
                if let colon = line.firstIndex(of: ":"), line.first != " " {
                    fields[line[..<colon]] = line[line.index(after: colon)...].drop { $0 == " " }
                }
                continue
            }
            defer { fields = [:] }
            guard fields["Package"] == "librabbitmq4", fields["Status"]?.hasSuffix(" installed") == true,
                let version = fields["Version"], DebianVersion(String(version)).upstream == loaded
            else { continue }
            return LibraryPackage(version: String(version))
        }
        return nil
    }
}
