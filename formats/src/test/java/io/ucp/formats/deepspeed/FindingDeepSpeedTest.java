package io.ucp.formats.deepspeed;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.IncompleteCheckpointException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

class FindingDeepSpeedTest {
    private final DeepSpeedFormat format = new DeepSpeedFormat();

    @TempDir Path root;

    private CheckpointIndex index() throws IOException {
        return format.index(format.find(root).getFirst());
    }

    private static GeneratedCheckpoint transformer() {
        return GeneratedCheckpoint.of(GeneratedCheckpoint.transformer(2, 4));
    }

    @Test
    void findsTheTagThatLatestNamesFirst() throws IOException {
        transformer().iteration(7).writeTo(root);
        transformer().iteration(3).writeTo(root);
        transformer().iteration(5).writeTo(root);

        assertThat(format.find(root))
                .extracting(Candidate::tag, Candidate::pointer)
                .containsExactly(
                        tuple("global_step5", "latest"),
                        tuple("global_step7", ""),
                        tuple("global_step3", ""));
    }

    @Test
    void findsATagFolderItself() throws IOException {
        transformer().writeTo(root);

        assertThat(format.find(root.resolve("global_step3")))
                .containsExactly(
                        new Candidate(
                                "deepspeed", root.resolve("global_step3"), "global_step3", ""));
    }

    @Test
    void saysThatNoLatestLedToTheOnlyTag() throws IOException {
        transformer().writeTo(root);
        Files.delete(root.resolve("latest"));

        assertThat(format.find(root)).hasSize(1);
        assertThat(index().findings()).anyMatch(f -> f.message().contains("no `latest`"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", " \n", "../elsewhere", "..", ".", "a/b", "/", "a\0b"})
    void refusesALatestThatNamesNoFolder(String text) throws IOException {
        transformer().writeTo(root);
        Files.writeString(root.resolve("latest"), text);

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageStartingWith(root.resolve("latest") + ": it says '")
                .hasMessageContaining("expected the name of a tag folder beside it")
                .hasMessageEndingWith(
                        "name the tag folder that you mean: " + root.resolve("global_step3"));
    }

    @Test
    void refusesALatestThatNamesAFolderThatIsNotThere() throws IOException {
        transformer().writeTo(root);
        Files.writeString(root.resolve("latest"), "global_step9");
        Files.writeString(root.resolve("latest_universal"), "global_step9_universal");

        assertThatThrownBy(this::index)
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining("`latest` names it, and it is not there")
                .hasMessageEndingWith(
                        "name the tag folder that you mean: " + root.resolve("global_step3"));
    }

    @Test
    void leavesALatestWithoutAnyTagFolderToOthers() throws IOException {
        Files.writeString(root.resolve("latest"), "../elsewhere");

        assertThat(format.find(root)).isEmpty();
    }

    @Test
    void findsTheFoldersOfTheTrainerTheNewestFirst() throws IOException {
        transformer().iteration(9).writeTo(root.resolve("checkpoint-9"));
        transformer().iteration(10).writeTo(root.resolve("checkpoint-10"));

        assertThat(format.find(root))
                .extracting(Candidate::pointer)
                .containsExactly("checkpoint-10/latest", "checkpoint-9/latest");
    }

    @Test
    void doesNotTakeAUniversalFolder() throws IOException {
        transformer().writeTo(root);
        Files.createDirectories(root.resolve("global_step3_universal/zero"));
        Files.copy(
                root.resolve("global_step3/mp_rank_00_model_states.pt"),
                root.resolve("global_step3_universal/mp_rank_00_model_states.pt"));

        assertThat(format.find(root)).extracting(Candidate::tag).containsExactly("global_step3");
        assertThat(format.find(root.resolve("global_step3_universal"))).isEmpty();
    }

    @Test
    void findsNothingInAnEmptyFolderOrAFile() throws IOException {
        Path file = Files.writeString(root.resolve("file"), "text");

        assertThat(format.find(root)).isEmpty();
        assertThat(format.find(file)).isEmpty();
        assertThat(format.find(root.resolve("nothing"))).isEmpty();
    }
}
