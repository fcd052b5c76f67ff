import Testing
import Topology

@Suite struct SecretsTests {
    /// The worked example of rabbitmq.com, "Credentials and Passwords".
    @Test func theHashIsTheBrokersOwn() {
        let hash = PasswordHash("test12", salt: [0x90, 0x8D, 0xC6, 0x0A])
        #expect(hash.base64 == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR")
        #expect(hash.matches("test12"))
        #expect(!hash.matches("test13"))
        #expect(!PasswordHash.none.matches(""))
        #expect(PasswordHash("x").base64 != PasswordHash("x").base64)
    }

    @Test func passwordsComeFromTheEnvironmentAndAFile() throws {
        let roles = ["ingress", "dead-letters"]
        var passwords = RolePasswords(
            environment: ["NEFF_BROKER_PASSWORD_DEAD_LETTERS": "a", "NEFF_BROKER_PASSWORD_INGRESS": "", "HOME": "/"],
            roles: roles)
        #expect(passwords.byRole == ["dead-letters": "a"])
        try passwords.add(file: "# comment\n\ningress=b=c\n", roles: roles)
        #expect(passwords.byRole == ["dead-letters": "a", "ingress": "b=c"])
    }

    @Test(arguments: ["hunter2", "ingress=", "stranger=hunter2"])
    func aWrongLineIsRefusedWithoutQuotingIt(line: String) {
        var passwords = RolePasswords()
        let error = #expect(throws: TopologyError.self) { try passwords.add(file: line, roles: ["ingress"]) }
        #expect(error?.description.contains("line 1") == true)
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test func descriptionsHoldNoSecret() throws {
        #expect("\(RolePasswords(["ingress": "hunter2"]))".contains("hunter2") == false)
        #expect("\(PasswordHash("hunter2"))".contains("=") == false)
        let address = try ManagementAddress("http://ann:hunter2@127.0.0.1:15672/")
        #expect("\(address)" == "http://127.0.0.1:15672")
        let change = Change.putUser(
            "ann", User(passwordHash: PasswordHash("hunter2", salt: [1, 2, 3, 4])), replacing: nil)
        #expect(change.description == "+ user ann")
    }

    @Test(arguments: [
        "", "127.0.0.1", "ftp://a:hunter2@h", "http://127.0.0.1", "http://ann@127.0.0.1", "http://a:hunter2@h?x=1",
        "http://a:hunter2@h#x",
    ])
    func aManagementAddressThatCannotWorkIsRefused(text: String) {
        let error = #expect(throws: TopologyError.self) { try ManagementAddress(text) }
        #expect(error?.code == .invalidSetting)
        #expect(error?.description.contains("hunter2") == false)
    }
}
