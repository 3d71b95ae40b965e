package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.execute.Progress;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Stream;

/// What is written does not depend on how numbers are written where it is written.
class LocaleTest {
    private static final Path SAMPLES = Path.of("../samples");

    @TempDir Path folder;

    @Test
    void aLocaleWithDigitsOfItsOwnIsTried() {
        assertThat(String.format(arabic(), "%d", 12)).isNotEqualTo("12");
    }

    private static Locale arabic() {
        return Locale.forLanguageTag("ar-EG-u-nu-arab");
    }

    /// File -> bytes.
    private Map<String, String> written(Locale locale, String sample, String to, String option)
            throws IOException {
        Path output = folder.resolve(locale.toLanguageTag());
        Map<String, String> options =
                option == null
                        ? Map.of()
                        : Map.of(option.split("=", 2)[0], option.split("=", 2)[1]);
        Locale usual = Locale.getDefault();
        Locale.setDefault(locale);
        try {
            Request request =
                    new Request(
                            SAMPLES.resolve(sample).resolve("checkpoint"),
                            Optional.empty(),
                            to,
                            Optional.empty(),
                            Map.of(),
                            options);
            request =
                    switch (to) {
                        case "deepspeed" -> request.withTarget(Jobs.deepspeed(2, 1));
                        case "megatron", "megatron-dist" -> request.withTarget(Jobs.megatron(2));
                        case String _ -> request;
                    };
            Conversion.run(
                    Conversion.prepare(request), output, RunOptions.standard(), Progress.NONE);
        } finally {
            Locale.setDefault(usual);
        }
        Map<String, String> content = new TreeMap<>();
        try (Stream<Path> walk = Files.walk(output)) {
            for (Path file : walk.filter(Files::isRegularFile).toList()) {
                content.put(
                        output.relativize(file).toString(),
                        HexFormat.of().formatHex(Files.readAllBytes(file)));
            }
        }
        return content;
    }

    @ParameterizedTest
    @CsvSource({
        "llama-tp2-pp2-dp2, universal,",
        "llama-tp2-pp2-dp2, deepspeed,",
        "llama-tp2-pp2-dp2, deepspeed-universal,",
        "llama-tp2-pp2-dp2, dcp,",
        "llama-tp2-pp2-dp2, megatron,",
        "llama-tp2-pp2-dp2, megatron-dist,",
        "llama-tp2-pp2-dp2, torch, max-shard-size=4000",
        "llama-tp2-pp2-dp2, safetensors, max-shard-size=4000",
        "llama-zero3-dp4, deepspeed,",
        "megatron-llama, megatron,",
        "megatron-dist-llama, megatron-dist,",
        "megatron-dist-llama, universal,",
        "hf-llama-sharded, deepspeed,",
        "hf-llama-sharded, dcp,"
    })
    void writesTheSameNamesAndBytes(String sample, String to, String option) throws IOException {
        Map<String, String> usual = written(Locale.ROOT, sample, to, option);
        Map<String, String> arabic = written(arabic(), sample, to, option);
        assertThat(arabic.keySet()).isEqualTo(usual.keySet());
        for (Map.Entry<String, String> file : usual.entrySet()) {
            assertThat(file.getValue().equals(arabic.get(file.getKey())))
                    .as(file.getKey())
                    .isTrue();
        }
    }
}
