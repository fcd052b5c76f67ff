import Settings
import Transport

/// Sample credentials, which are for development and tests, and which production refuses.
enum SampleCredentials {
    /// Samples say of themselves that they are: every one contains `TEST-ONLY`, `sample` or `changeme`.
    static func isSample(_ secret: String) -> Bool {
        let text = secret.lowercased()
        return ["test-only", "sample", "changeme"].contains { text.contains($0) }
    }

    /// - Throws: in production mode, if a secret is a sample.
    static func refuse(in settings: Settings) throws {
        guard try settings.value(Keys.mode) == .production else { return }
        let secrets = [
            Keys.signingKey, Keys.previousSigningKey, Keys.databaseURL, Keys.rehearsalDatabaseURL, Keys.amqpURL,
            Keys.managementURL, Keys.smtpURL,
        ]
        for key in secrets {
            guard let secret = try settings.optional(key), isSample(secret) else { continue }
            throw Failure(
                .configuration, "\(key.name) holds a sample credential, which production refuses. Set a real one.")
        }
        if let mail = try settings.optional(Keys.smtpURL), try SMTPConfiguration(url: mail).security == .none {
            throw Failure(
                .configuration,
                "\(Keys.smtpURL.name) sends mail unencrypted, which production refuses. Remove starttls=none.")
        }
    }
}
