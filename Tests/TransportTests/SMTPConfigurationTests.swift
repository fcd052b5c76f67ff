import Testing
import Transport

@Suite struct SMTPConfigurationTests {
    @Test func startTLSIsRequiredUnlessSaidOtherwise() throws {
        let configuration = try SMTPConfiguration(url: "smtp://user:p%40ss%2Fword@mail.example.test")
        #expect(configuration.security == .startTLS && configuration.port == 587)
        #expect(configuration.user == "user" && configuration.password == "p@ss/word")
        #expect(configuration.connectTimeout == .seconds(10) && configuration.timeout == .seconds(120))
    }

    @Test func implicitTLSHasItsOwnPort() throws {
        let configuration = try SMTPConfiguration(url: "smtps://mail.example.test/me.example.test")
        #expect(configuration.security == .implicitTLS && configuration.port == 465)
        #expect(configuration.user == nil && configuration.clientName == "me.example.test")
    }

    @Test func optionsAreRead() throws {
        let configuration = try SMTPConfiguration(
            url: "smtp://h.test:2525?cafile=/etc/ca%20one.pem&timeout_ms=5000&connect_timeout_ms=1&reply_timeout_ms=7")
        #expect(configuration.port == 2525 && configuration.caFile == "/etc/ca one.pem")
        #expect(configuration.timeout == .seconds(5) && configuration.connectTimeout == .milliseconds(1))
    }

    @Test func theDescriptionHoldsNoPassword() throws {
        let configuration = try SMTPConfiguration(url: "smtp://user:hunter2@h.test")
        #expect("\(configuration)" == "smtp://h.test:587")
        #expect("\(configuration)".contains("hunter2") == false)
    }

    @Test(arguments: [
        "", "h.test", "http://h.test", "smtp://", "smtp://h.test?starttls=try", "smtp://h.test?starttls=no",
        "smtps://h.test?starttls=none", "smtp://h.test?tls=none", "smtp://h.test?timeout_ms=0",
        "smtp://h.test?timeout_ms=-1", "smtp://h.test?timeout_ms=x", "smtp://h.test?timeout_ms=1&timeout_ms=2",
        "smtp://user@h.test", "smtp://u:p@mail.test?starttls=none", "smtp://h.test/a b", "smtp://h.test/a%0d%0aMAIL",
        "smtp://u:p%0d%0a@h.test", "smtp://u:p@h.test?auth=NTLM", "smtp://h.test#x", "smtp://h.test:99999",
        "smtp://h.test?cafile=", "smtp://h.test?cafile", "smtp://u:p@127.evil.test?starttls=none",
    ])
    func anythingElseIsRefused(_ url: String) {
        #expect(throws: SMTPConfiguration.Invalid.self) { try SMTPConfiguration(url: url) }
    }

    @Test func aRefusalDoesNotRepeatTheURL() {
        let error = #expect(throws: SMTPConfiguration.Invalid.self) {
            try SMTPConfiguration(url: "smtp://user:hunter2@h.test?nonsense=1")
        }
        #expect(error?.description.contains("hunter2") == false)
        #expect(error?.description.contains("nonsense") == true)
    }
}
