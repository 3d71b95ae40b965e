package io.ucp.convert;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.bind.ModelFamilies;
import io.ucp.convert.FamilyWays.Stop;

import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/// A folder of a model by way of the frameworks' own formats (Megatron-LM, DeepSpeed, torch) is the
/// same bytes again, of every bundled family.
class FamilyChainTest {
    @TempDir private Path folder;

    static Stream<Arguments> ways() {
        return ModelFamilies.names("").stream()
                .flatMap(
                        family ->
                                FamilyWays.of(family).stream()
                                        .map(way -> Arguments.of(family, way)));
    }

    @ParameterizedTest
    @MethodSource("ways")
    void aModelIsTheSameBytesAfterEveryWay(String family, List<Stop> way) throws IOException {
        Path model = FamilyModel.read(family).write(folder.resolve("model"));
        Path back = FamilyWays.go(model, way, folder);
        for (String file : List.of("model.safetensors", "config.json")) {
            assertThat(back.resolve(file)).hasSameBinaryContentAs(model.resolve(file));
        }
    }
}
