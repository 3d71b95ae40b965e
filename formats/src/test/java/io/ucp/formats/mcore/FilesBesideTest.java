package io.ucp.formats.mcore;

import static org.assertj.core.api.Assertions.assertThat;

import io.ucp.formats.CarriedFile;
import io.ucp.formats.Coordinate;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.TargetFile;
import io.ucp.formats.WriteRequest;
import io.ucp.formats.torch.pickle.PickleValue;
import io.ucp.formats.torch.pickle.PyInt;
import io.ucp.io.PlainFile;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

class FilesBesideTest {
    @TempDir Path folder;

    private final List<TargetFile> files = new ArrayList<>();
    private final List<String> losses = new ArrayList<>();

    private CarriedFile bytes(String path, String role) throws IOException {
        Path file = Files.writeString(folder.resolve("bytes"), "abc");
        return new CarriedFile(
                path,
                role,
                Coordinate.NONE,
                Optional.of(PlainFile.of(file)),
                Optional.empty(),
                Map.of());
    }

    private static CarriedFile tree(String path, String role) {
        PickleValue one = PyInt.of(1);
        return new CarriedFile(
                path, role, Coordinate.NONE, Optional.empty(), Optional.of(one), Map.of());
    }

    private void add(CarriedFile... carried) {
        Origin origin = new Origin("deepspeed", "t", -1, List.of(), Optional.empty());
        FilesBeside.add(
                new WriteRequest(
                        "t",
                        OptionalLong.empty(),
                        origin,
                        List.of(),
                        LayoutHints.NONE,
                        List.of(carried),
                        Map.of(),
                        Optional.empty()),
                "iter",
                files,
                losses);
    }

    @Test
    void filesThatAreCarriedAsTheirObjectAloneAreMadeAgain() {
        add(tree("extra.pt", "side"));
        assertThat(files).extracting(TargetFile::path).containsExactly("iter/extra.pt");
        assertThat(files.getFirst().size()).isPositive();
        assertThat(losses).isEmpty();
    }

    @Test
    void filesFromAroundTheFolderLieInItUnlessTheyAreTheJobsOwn() throws IOException {
        add(bytes("beside/tokenizer.json", "beside"), bytes("beside/latest", "beside"));
        assertThat(files).extracting(TargetFile::path).containsExactly("iter/tokenizer.json");
        assertThat(losses).isEmpty();
    }

    @Test
    void whatHasNoPlaceIsALoss() throws IOException {
        add(bytes("a", "odd"), bytes("b", "odd"), tree("model_states", "model_states"));
        assertThat(files).isEmpty();
        assertThat(losses).containsExactly("odd (2 files): Megatron-LM has no place for it");
    }

    @Test
    void aNameThatIsTakenIsALoss() throws IOException {
        add(bytes("config.json", "side"), bytes("beside/config.json", "beside"));
        assertThat(files).hasSize(1);
        assertThat(losses).containsExactly("config.json: the target has a file of that name");
    }
}
