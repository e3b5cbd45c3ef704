"""docs/runs.md, "What a run folder can and cannot do to you": each sentence has tests that hold it."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
STRANGER, RECORDS = "tests/run/test_stranger.py", "tests/run/test_records.py"
PROMISES = {  # the first words of a sentence: the tests
    "No link in it is followed": [
        (STRANGER, "test_a_run_with_a_link_is_not_resumed_and_nothing_changes"),
        (STRANGER, "test_commands_read_and_write_nothing_through_links"),
        (STRANGER, "test_the_name_of_an_unfinished_file_may_be_a_link"),
        (STRANGER, "test_names_that_lead_out_of_a_folder")],
    "`--resume` refuses a run in which": [(STRANGER, "test_the_sentence_names_the_link_and_where_it_leads")],
    "The folder that you name": [(STRANGER, "test_the_folder_itself_may_be_a_link")],
    "A pipe, a socket": [(STRANGER, "test_what_is_no_file_is_refused_at_once")],
    "A file with a second name": [(STRANGER, "test_a_second_name_of_a_file_is_not_written_through")],
    "`--overwrite` deletes files": [
        (STRANGER, "test_a_list_from_a_stranger_deletes_nothing_of_mine"),
        (STRANGER, "test_a_program_s_own_files_are_the_run_s_until_somebody_changes_them"),
        (STRANGER, "test_overwrite_removes_a_link_and_not_what_it_points_to"),
        (STRANGER, "test_a_run_leaves_no_file_that_is_not_listed"),
        (STRANGER, "test_a_killed_run_leaves_no_file_that_is_not_listed")],
    "Your own files stay": [(STRANGER, "test_overwrite_removes_what_the_run_wrote_and_nothing_else"),
                            (STRANGER, "test_a_program_s_own_files_are_the_run_s_until_somebody_changes_them")],
    "`--resume` removes unfinished": [
        (STRANGER, "test_a_resumed_run_removes_its_unfinished_files_and_nobody_else_s")],
    "In a run of an earlier version": [(STRANGER, "test_overwrite_removes_what_the_run_wrote_and_nothing_else")],
    "Of several runs": [("tests/run/test_parts.py", "test_a_run_that_the_list_does_not_know_by_its_contents_stays"),
                        ("tests/run/test_parts.py",
                         "test_overwrite_removes_all_that_the_program_wrote_and_nothing_else")],
    "`--overwrite` refuses": [(STRANGER, "test_a_folder_of_another_program_is_no_run")],
    "`report.html` contains only": [(STRANGER, "test_the_page_holds_no_bytes_but_those_of_pictures")],
    "Text from the folder never": [("tests/report/test_page.py", "test_it_opens_anywhere")],
    "Nothing in it is executed": [(STRANGER, "test_a_pickle_is_refused_unread")],
    "A wrong value in a JSON file": [
        (RECORDS, "test_a_wrong_value_in_config_is_named"),
        (RECORDS, "test_a_wrong_value_in_a_row_is_named_with_its_line"),
        (RECORDS, "test_mutations_of_each_file_end_in_words")],
    "A damaged run does not stop": [(RECORDS, "test_one_odd_record_does_not_stop_the_list")],
    "Options that ask for more": [
        (STRANGER, "test_a_config_that_asks_for_much_is_refused_before_anything_is_built"),
        (STRANGER, "test_weights_that_are_smaller_than_the_options")],
    "config.json may have 4 MiB": [(RECORDS, "test_the_largest_files")],
    "It can name the folder": [(STRANGER, "test_a_config_names_the_data_and_the_command_line_another")],
    "It can still take time": [(STRANGER, "test_the_steps_of_a_config_are_done")],
}


def sentences():
    section = (ROOT / "docs/runs.md").read_text("utf-8").split("## What a run folder can and cannot do to you")[1]
    items = re.findall(r"^- (.*?)(?=^- |\n\n)", section.split("\n## ")[0], re.M | re.S)
    return [sentence for item in items for sentence in re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join(item.split()))]


def test_each_sentence_has_its_tests():
    unheld = [text for text in sentences() if not any(text.startswith(words) for words in PROMISES)]
    assert unheld == [] and len(sentences()) == len(PROMISES)


def test_the_tests_are_there():
    for path, name in {test for tests in PROMISES.values() for test in tests}:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body), (path, name)
