// SPDX-License-Identifier: Apache-2.0
// Writes the certificates of a PEM bundle as a trust store: Java reads no PEM. Arguments: bundle, store.

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;

public class Trust {
    public static void main(String[] arguments) throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(null, null);
        int number = 0;
        try (FileInputStream bundle = new FileInputStream(arguments[0])) {
            for (Certificate each : CertificateFactory.getInstance("X.509").generateCertificates(bundle)) {
                store.setCertificateEntry("authority-" + number++, each);
            }
        }
        try (FileOutputStream file = new FileOutputStream(arguments[1])) {
            store.store(file, "changeit".toCharArray());
        }
    }
}
