package io.ucp.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.time.Duration;

final class QuantityTest {
    @ParameterizedTest
    @CsvSource({
        "0, 0 B",
        "999, 999 B",
        "1000, 1.00 kB",
        "9994, 9.99 kB",
        "9996, 10.0 kB",
        "99949, 99.9 kB",
        "99951, 100 kB",
        "999499, 999 kB",
        "999501, 1.00 MB",
        "1340000000, 1.34 GB",
        "9223372036854775807, 9.22 EB"
    })
    void bytesHaveThreeDigitsAndAUnit(long size, String text) {
        assertThat(Quantity.bytes(size)).isEqualTo(text);
    }

    @ParameterizedTest
    @CsvSource({
        "4, 0.00 s",
        "120, 0.12 s",
        "34000, 34 s",
        "125000, 2:05 min",
        "3725000, 1:02:05 h"
    })
    void durationsAreAsLongAsNeeded(long millis, String text) {
        assertThat(Quantity.duration(Duration.ofMillis(millis))).isEqualTo(text);
    }

    @Test
    void rateOfNoTimeIsUnknown() {
        assertThat(Quantity.rate(1000, Duration.ZERO)).isEmpty();
        assertThat(Quantity.rate(2_000_000, Duration.ofSeconds(2))).isEqualTo("1.00 MB/s");
    }

    @Test
    void oneIsSingular() {
        assertThat(Quantity.count(1, "file")).isEqualTo("1 file");
        assertThat(Quantity.count(1234, "file")).isEqualTo("1,234 files");
    }
}
