package io.ucp.formats.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ucp.formats.CheckpointFormat.Candidate;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Finding;
import io.ucp.formats.IncompleteCheckpointException;
import io.ucp.formats.ParameterFacts;
import io.ucp.formats.WholeParameter;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/// Which files of a folder are a model's, and what is wrong where they contradict each other.
class ReadingSafetensorsTest {
    private static final String TWO = "model-00002-of-00002.safetensors";
    private static final String ONE = "model-00001-of-00002.safetensors";
    private static final String INDEX = "model.safetensors.index.json";

    private final SafetensorsFormat format = new SafetensorsFormat();

    @TempDir Path folder;

    /// Tensors of two bytes each.
    private void file(String name, String... tensors) throws IOException {
        StringBuilder header = new StringBuilder("{");
        for (int i = 0; i < tensors.length; i++) {
            header.append(i == 0 ? "" : ",").append(RawFile.u8(tensors[i], 2 * i, 2 * i + 2));
        }
        RawFile.of(header.append("}").toString(), 2 * tensors.length).write(folder.resolve(name));
    }

    private void index(String... tensorsAndFiles) throws IOException {
        String map =
                Arrays.stream(tensorsAndFiles)
                        .map(each -> each.replaceFirst("(.*)=(.*)", "\"$1\":\"$2\""))
                        .collect(Collectors.joining(","));
        Files.writeString(folder.resolve(INDEX), "{\"weight_map\":{" + map + "}}");
    }

    private CheckpointIndex read() throws IOException {
        return read(folder);
    }

    private CheckpointIndex read(Path path) throws IOException {
        List<Candidate> found = format.find(path);
        assertThat(found).hasSize(1);
        return format.index(found.getFirst());
    }

    private static List<String> names(CheckpointIndex index) {
        return index.wholes().stream().map(whole -> whole.facts().name()).toList();
    }

    private void malformed(String file, long at, String message) throws IOException {
        Candidate candidate = format.find(folder).getFirst();
        assertThatThrownBy(() -> format.index(candidate))
                .isInstanceOfSatisfying(
                        MalformedFileException.class,
                        e -> {
                            assertThat(e.getMessage()).contains(message);
                            assertThat(e.file()).isEqualTo(folder.resolve(file));
                            assertThat(e.offset()).as(e.getMessage()).isEqualTo(at);
                        });
    }

    private void incomplete(String message) throws IOException {
        Candidate candidate = format.find(folder).getFirst();
        assertThatThrownBy(() -> format.index(candidate))
                .isInstanceOf(IncompleteCheckpointException.class)
                .hasMessageContaining(message);
    }

    // ---- what is found ----

    @Test
    void folderWithoutWeightsIsNone() throws IOException {
        Files.writeString(folder.resolve("config.json"), "{}");
        assertThat(format.find(folder)).isEmpty();
        assertThat(format.find(folder.resolve("config.json"))).isEmpty();
    }

    @Test
    void folderWithOneFileIsThatModel() throws IOException {
        file("adapter_model.safetensors", "a", "b");
        CheckpointIndex index = read();
        assertThat(names(index)).containsExactly("a", "b");
        assertThat(index.tag()).isEqualTo(folder.getFileName().toString());
        ParameterFacts facts = index.wholes().getFirst().facts();
        assertThat(facts.shape()).isEqualTo(Shape.of(2));
        assertThat(facts.states()).isEqualTo(Map.of("weight", DType.UINT8));
    }

    @Test
    void modelComesBeforeOtherFilesAndTheyAreNamed() throws IOException {
        file("model.safetensors", "a");
        file("consolidated.safetensors", "other");
        CheckpointIndex index = read();
        assertThat(names(index)).containsExactly("a");
        assertThat(index.findings())
                .contains(
                        new Finding(
                                "consolidated.safetensors",
                                "weights in another form, not taken along"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"model.safetensors", INDEX})
    void fileThatIsWhatItsFolderHoldsIsTheFolder(String named) throws IOException {
        Files.writeString(folder.resolve("config.json"), "{\"vocab_size\": 7}");
        if (named.equals(INDEX)) {
            file(ONE, "a");
            file(TWO, "b");
            index("a=" + ONE, "b=" + TWO);
        } else {
            file(named, "a");
        }
        CheckpointIndex index = read(folder.resolve(named));
        assertThat(index.folder()).isEqualTo(folder);
        assertThat(index.hints().numbers()).containsEntry("vocab", 7L);
    }

    @Test
    void anotherFileIsReadByItself() throws IOException {
        file("model.safetensors", "a");
        file("other.safetensors", "b");
        Files.writeString(folder.resolve("config.json"), "{}");
        CheckpointIndex index = read(folder.resolve("other.safetensors"));
        assertThat(names(index)).containsExactly("b");
        assertThat(index.tag()).isEqualTo("other");
        assertThat(index.carried()).noneMatch(file -> file.role().equals("side"));
    }

    @Test
    void trainersFoldersAreFoundTheNewestFirst() throws IOException {
        for (String step : List.of("checkpoint-9", "checkpoint-10", "checkpoint-11", "runs")) {
            Files.createDirectory(folder.resolve(step));
        }
        file("checkpoint-9/model.safetensors", "a");
        file("checkpoint-10/model.safetensors", "a");
        Files.writeString(
                folder.resolve("checkpoint-10/trainer_state.json"), "{\"global_step\": 10}");
        List<Candidate> found = format.find(folder);
        assertThat(found)
                .extracting(Candidate::tag)
                .containsExactly("checkpoint-10", "checkpoint-9");
        assertThat(format.index(found.getFirst()).iteration()).hasValue(10);
    }

    @Test
    void numberedFilesNeedNoIndexWhereAllAreThere() throws IOException {
        file(ONE, "a");
        file(TWO, "b");
        assertThat(names(read())).containsExactly("a", "b");
    }

    @ParameterizedTest
    @CsvSource({"2, file 1 of 2 is not there", "1, file 2 of 2 is not there"})
    void numberedFileWithoutTheOthers(int number, String message) throws IOException {
        file("model-0000%d-of-00002.safetensors".formatted(number), "a");
        incomplete(message);
    }

    @Test
    void numberedFilesWithAGap() throws IOException {
        for (int i : List.of(1, 2, 4)) {
            file("model-0000%d-of-00004.safetensors".formatted(i), "t" + i);
        }
        incomplete("file 3 of 4 is not there");
    }

    @Test
    void filesThatDoNotSayThatTheyBelongTogether() throws IOException {
        file("vae.safetensors", "a");
        file("unet.safetensors", "b");
        incomplete("no model.safetensors, no index, and 2 files: unet.safetensors, vae");
    }

    // ---- files beside ----

    @Test
    void filesBesideAreCarriedByTheirBytesAndOtherWeightsAreNot() throws IOException {
        file("model.safetensors", "a");
        for (String name : List.of("config.json", "tokenizer.model", ".gitattributes")) {
            Files.writeString(folder.resolve(name), "{}");
        }
        for (String name : List.of("pytorch_model.bin", "tf_model.h5", "model.gguf")) {
            Files.writeString(folder.resolve(name), "");
        }
        Files.createDirectory(folder.resolve("onnx"));
        CheckpointIndex index = read();
        assertThat(index.carried().stream().filter(c -> c.role().equals("side")))
                .extracting(c -> c.path())
                .containsExactly(".gitattributes", "config.json", "tokenizer.model");
        assertThat(index.findings())
                .extracting(Finding::place)
                .containsExactly("model.gguf", "onnx", "pytorch_model.bin", "tf_model.h5");
    }

    // ---- the index ----

    @Test
    void indexNamesTheFiles() throws IOException {
        file(ONE, "a", "b");
        file(TWO, "c");
        index("c=" + TWO, "a=" + ONE, "b=" + ONE);
        assertThat(names(read())).containsExactly("c", "a", "b");
    }

    @Test
    void indexThatNamesAFileThatIsNotThere() throws IOException {
        file(ONE, "a");
        index("a=" + ONE, "b=" + TWO);
        malformed(INDEX, 54, "'b' in " + TWO + ", which is not there");
    }

    @Test
    void indexThatNamesATensorThatItsFileLacks() throws IOException {
        file(ONE, "a");
        file(TWO, "b");
        index("a=" + ONE, "b=" + TWO, "c=" + TWO);
        malformed(INDEX, 93, "'c' in " + TWO + ", which does not hold it");
    }

    @Test
    void tensorThatTwoFilesHold() throws IOException {
        file(ONE, "a");
        file(TWO, "a", "b");
        index("a=" + ONE, "b=" + TWO);
        malformed(TWO, 9, "'a', which " + ONE + " holds too; expected each tensor once");
    }

    @Test
    void tensorInAnotherFileThanTheIndexSays() throws IOException {
        file(ONE, "a", "b");
        file(TWO, "c");
        index("a=" + ONE, "b=" + TWO, "c=" + TWO);
        malformed(ONE, 61, "'b', which the index has in " + TWO);
    }

    @Test
    void tensorThatTheIndexDoesNotName() throws IOException {
        file(ONE, "a", "b");
        file(TWO, "c");
        index("a=" + ONE, "c=" + TWO);
        malformed(ONE, 61, "'b', which the index does not name");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "[] | 0 | no JSON object",
                "{\"weight_map\": {} | 17 | not JSON",
                "{\"metadata\": {}} | 0 | no weight_map",
                "{\"weight_map\": 3} | 1 | a weight_map that is no object",
                "{\"weight_map\": {}, \"weight_map\": {}} | 19 | a second weight_map",
                "{\"weight_map\": {\"a\": 1}} | 16 | no file for 'a'",
                "{\"weight_map\": {\"a\": \"../x\"}} | 16 | 'a' in '../x'; expected the name of a"
                        + " file",
                "{\"weight_map\": {\"a\": \"x\", \"a\": \"x\"}} | 26 | 'a' a second time",
            })
    void indexThatIsNone(String text, long at, String message) throws IOException {
        Files.writeString(folder.resolve(INDEX), text);
        malformed(INDEX, at, message);
    }

    @Test
    void totalSizeThatIsNotThatOfTheTensorsIsTold() throws IOException {
        file(ONE, "a");
        Files.writeString(
                folder.resolve(INDEX),
                "{\"metadata\": {\"total_size\": 99}, \"weight_map\": {\"a\": \"%s\"}}"
                        .formatted(ONE));
        assertThat(read().findings())
                .contains(new Finding(INDEX, "total_size is 99; the tensors have 2 bytes"));
    }

    // ---- tied parameters ----

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"tie_word_embeddings\": true} | transformer.wte.weight | lm_head.weight",
                "{\"tie_word_embeddings\": true} | model.embed_tokens.weight | lm_head.weight",
                "{\"tie_word_embeddings\": true} | gpt_neox.embed_in.weight | embed_out.weight",
                "{\"text_config\": {\"tie_word_embeddings\": true}} |"
                    + " language_model.model.embed_tokens.weight | language_model.lm_head.weight",
                "{\"architectures\": [\"GPT2LMHeadModel\"]} | transformer.wte.weight |"
                        + " lm_head.weight",
                "{\"architectures\": [\"GPT2Model\"]} | wte.weight | ",
                "{\"tie_word_embeddings\": false} | model.embed_tokens.weight | ",
                "{} | model.embed_tokens.weight | ",
            })
    void headThatIsTheEmbeddingIsItsOtherName(String config, String name, String alias)
            throws IOException {
        file("model.safetensors", name, "model.norm.weight");
        Files.writeString(folder.resolve("config.json"), config);
        CheckpointIndex index = read();
        assertThat(index.hints().aliases())
                .isEqualTo(alias == null ? Map.of() : Map.of(alias, name));
        assertThat(index.wholes().getFirst().facts().aliases())
                .isEqualTo(alias == null ? List.of() : List.of(alias));
    }

    @Test
    void headThatIsStoredIsAParameterOfItsOwn() throws IOException {
        file("model.safetensors", "model.embed_tokens.weight", "lm_head.weight");
        Files.writeString(folder.resolve("config.json"), "{\"tie_word_embeddings\": true}");
        assertThat(read().hints().aliases()).isEmpty();
    }

    @Test
    void namesThatSaveModelLeftOutAreOtherNames() throws IOException {
        Path saved =
                Path.of("src/test/resources/io/ucp/formats/safetensors/save_model.safetensors");
        assertThat(read(saved).hints().aliases())
                .isEqualTo(Map.of("transformer.wte.weight", "lm_head.weight"));
    }

    // ---- pieces, as torch's DCP saves them ----

    @Test
    void piecesOfRanksAreOneTensor() throws IOException {
        CheckpointIndex index =
                read(Path.of("src/test/resources/io/ucp/formats/safetensors/dcp-pieces"));
        assertThat(index.wholes())
                .extracting(whole -> whole.facts().name() + " " + whole.facts().shape())
                .containsExactlyInAnyOrder(
                        "model.a.weight [7, 6]", "model.b.weight [5, 9]", "model.c.bias [11]");
        for (WholeParameter whole : index.wholes()) {
            long count =
                    whole.states().values().stream()
                            .flatMap(List::stream)
                            .mapToLong(placed -> placed.piece().count())
                            .sum();
            assertThat(count).isEqualTo(whole.facts().shape().count());
        }
    }

    private void piece(int rank, String tensor, String offsets) throws IOException {
        String metadata =
                "\"__metadata__\":{\"DCP_SHARDING_INFO\":\"{\\\"%s\\\": {\\\"saved_offsets\\\": %s}}\"}"
                        .formatted(tensor, offsets);
        RawFile.of("{" + metadata + "," + RawFile.u8(tensor, 0, 2) + "}", 2)
                .write(
                        folder.resolve(
                                "shard-0000%d-model-00001-of-00001.safetensors".formatted(rank)));
    }

    private void malformedPiece(int rank, String message) throws IOException {
        Candidate candidate = format.find(folder).getFirst();
        assertThatThrownBy(() -> format.index(candidate))
                .isInstanceOfSatisfying(
                        MalformedFileException.class,
                        e -> {
                            assertThat(e.getMessage()).contains(message);
                            assertThat(e.file().toString()).contains("shard-0000" + rank);
                            assertThat(e.offset()).isPositive();
                        });
    }

    @Test
    void pieceTwice() throws IOException {
        piece(1, "a", "[0]");
        piece(2, "a", "[0]");
        malformedPiece(2, "'a', which shard-00001-model-00001-of-00001.safetensors holds too");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "[]",
                "[0, 0]",
                "[-1]",
                "[0.9]",
                "[9223372036854775807]",
                "3",
                "[\\\"0\\\"]"
            })
    void offsetsThatAreNone(String offsets) throws IOException {
        piece(1, "a", offsets);
        malformedPiece(1, "1 numbers from 0 on, one a dimension");
    }

    /// Whether a last rank's file is missing cannot be seen, of one piece either.
    @Test
    void piecesAreToldAsUnproven() throws IOException {
        piece(1, "a", "[0]");
        assertThat(read(folder).findings())
                .singleElement()
                .matches(Finding::isUnproven)
                .matches(f -> f.message().startsWith("pieces of tensors as ranks saved them"));
    }

    @Test
    void wholeThatIsTooLargeToCount() throws IOException {
        String offsets =
                "{\\\"a\\\": {\\\"saved_offsets\\\": [%d, %d]}}".formatted(1L << 61, 1L << 61);
        RawFile.of(
                        "{\"__metadata__\":{\"DCP_SHARDING_INFO\":\"%s\"},".formatted(offsets)
                                + "\"a\":{\"dtype\":\"U8\",\"shape\":[1,2],\"data_offsets\":[0,2]}}",
                        2)
                .write(folder.resolve("shard-00001-model-00001-of-00001.safetensors"));
        malformedPiece(1, "pieces of 'a' that reach to [2305843009213693953, 2305843009213693954]");
    }

    @Test
    void offsetsThatAreNoJson() throws IOException {
        piece(1, "a", "[");
        malformedPiece(1, "DCP_SHARDING_INFO that is not JSON");
    }

    @Test
    void rankThatIsMissing() throws IOException {
        piece(1, "a", "[0]");
        piece(3, "a", "[4]");
        incomplete("file 2 of 3 is not there");
    }

    @Test
    void everyDtypeOfTheLibraryIsRead() throws IOException {
        Path saved = Path.of("src/test/resources/io/ucp/formats/safetensors/dtypes.safetensors");
        assertThat(read(saved).wholes())
                .extracting(WholeParameter::facts)
                .extracting(facts -> facts.name() + " " + facts.states().get("weight"))
                .containsExactly(
                        "i64 INT64",
                        "c64 COMPLEX64",
                        "a\"q\n FLOAT32",
                        "empty FLOAT32",
                        "é FLOAT16",
                        "f8 FLOAT8_E4M3FN",
                        "b8 UINT8",
                        "bo BOOL");
    }
}
