import Glibc
import Testing

@testable import AMQP

@Suite struct LibraryPackageTests {
    private func status(_ version: String, _ state: String = "installed") -> String {
        """
        Package: libraptor2-0
        Status: install ok installed
        Version: 9

        Package: librabbitmq4
        Status: install ok \(state)
        Architecture: amd64
        Version: \(version)
        Description: AMQP client library
         Version: of no account

        Package: librabbitmq-dev
        Status: install ok installed
        Version: 1
        """
    }

    @Test(arguments: [
        ("0.11.0-1+deb12u3", true), ("0.11.0-1+deb12u10", true), ("0.15.0-1", true), ("1:0.11.0-1", true),
        ("0.11.0-1+deb12u2", false), ("0.11.0-1", false), ("0.11.0-1+deb12u3~rc1", false), ("0.9.0-0.2", false),
    ])
    func theRevisionCounts(version: String, isSufficient: Bool) {
        #expect(LibraryPackage(version: version).isSufficient == isSufficient)
    }

    /// In order, as `dpkg --compare-versions` has them.
    @Test func versionsAreOrderedAsByDpkg() {
        let versions = [
            "1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-1", "1.0-1a", "1.0-1+b1", "1.0.0", "1.00.1", "1.9", "1.010", "1:0.1",
        ].map(DebianVersion.init)
        for (index, version) in versions.enumerated() {
            #expect(versions[..<index].allSatisfy { $0.isOlder(than: version) })
            #expect(versions[index...].allSatisfy { !$0.isOlder(than: version) })
        }
    }

    @Test func thePackageIsFoundIfItIsTheOneThatIsLoaded() {
        let version = "0.11.0-1+deb12u3"
        #expect(LibraryPackage.installed(in: status(version), loaded: "0.11.0")?.version == version)
        #expect(LibraryPackage.installed(in: status(version), loaded: "0.13.0") == nil)
        #expect(LibraryPackage.installed(in: status(version, "config-files"), loaded: "0.11.0") == nil)
        #expect(LibraryPackage.installed(in: "", loaded: "0.11.0") == nil)
    }

    @Test(.enabled(if: access("/var/lib/dpkg/status", R_OK) == 0, "dpkg keeps this machine's packages"))
    func thisMachineHasThePackage() throws {
        #expect(try #require(LibraryPackage.installed()).isSufficient)
    }
}
