# The source revision, written into results. Taken at configure time; "unknown" where git cannot tell.
set(LLEM_REVISION "unknown")
find_program(GIT_EXECUTABLE git)
if(GIT_EXECUTABLE AND EXISTS "${PROJECT_SOURCE_DIR}/.git")
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} describe --always --dirty --abbrev=12
        OUTPUT_VARIABLE described RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(NOT failed AND described) # git refuses a tree of another owner, and a torn one
        set(LLEM_REVISION "${described}")
    endif()
endif()
