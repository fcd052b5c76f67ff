import Settings
import Testing

@Suite struct SettingsTests {
    @Test func aMissingKeyIsNamedInOneLine() throws {
        let settings = try Settings(values: [:])
        let error = #expect(throws: SettingsError.self) { _ = try settings.value(Keys.databaseURL) }
        #expect(error?.description.hasPrefix("DATABASE_URL is not set.") == true)
        #expect(error?.description.contains("\n") == false)
    }

    @Test(arguments: [
        ("NEFF_HTP_ADDRESS", "NEFF_HTTP_ADDRESS"), ("NEFF_WORKER_CONCURENCY", "NEFF_WORKER_CONCURRENCY"),
    ])
    func anUnknownKeyStopsWithTheOneThatWasMeant(wrong: String, right: String) {
        let error = #expect(throws: SettingsError.self) { _ = try Settings(values: [wrong: "x"]) }
        #expect(error?.description == "\(wrong) is not a setting. Did you mean \(right)?")
    }

    @Test func aForeignVariableIsNobodysBusiness() throws {
        let settings = try Settings(values: ["PATH": "/bin", "NEFFERTITI": "queen"])
        #expect(try settings.value(Keys.mode) == .development)
    }

    @Test(arguments: ["0", "-1", "many", "257", ""])
    func anIntegerOutsideItsRangeIsRefused(text: String) throws {
        let settings = try Settings(values: ["NEFF_WORKER_CONCURRENCY": text])
        let error = #expect(throws: SettingsError.self) { _ = try settings.value(Keys.concurrency) }
        #expect(error?.problem == "must be a whole number from 1 to 256")
    }

    @Test func anErrorNeverShowsTheValue() throws {
        let settings = try Settings(values: ["NEFF_RETRY_TIERS": "hunter2"])
        let error = #expect(throws: SettingsError.self) { _ = try settings.value(Keys.retryTiers) }
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test(arguments: [
        ("127.0.0.1:8080", "127.0.0.1", 8080), ("[::1]:0", "::1", 0), ("localhost:443", "localhost", 443),
    ])
    func addressesAreRead(text: String, host: String, port: Int) {
        #expect(HostAndPort(text)?.host == host)
        #expect(HostAndPort(text)?.port == port)
        #expect(HostAndPort(text)?.description == text)
    }

    @Test(arguments: ["", "8080", ":8080", "::1:80", "host:", "host:99999", "host:-1"])
    func brokenAddressesAreRefused(text: String) {
        #expect(HostAndPort(text) == nil)
    }

    @Test func everyDefaultIsAValue() throws {
        let settings = try Settings(values: [:])
        _ = try settings.value(Keys.mode)
        _ = try settings.value(Keys.adminAddress)
        _ = try settings.value(Keys.databasePoolSize)
        _ = try settings.value(Keys.httpAddress)
        _ = try settings.value(Keys.signatureTolerance)
        _ = try settings.value(Keys.retryTiers)
        _ = try settings.value(Keys.ambiguousMail)
        #expect(Set(Keys.all.map(\.name)).count == Keys.all.count)
    }

    @Test func secretsAreNotShown() throws {
        let settings = try Settings(values: ["DATABASE_URL": "postgres://neff:hunter2@localhost/neff"])
        let key = try #require(Keys.all.first { $0.name == "DATABASE_URL" })
        #expect(settings.shownValue(key) == "(set, secret)")
    }
}
