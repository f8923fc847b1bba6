-- Makes one book of the READMEs (metadata `page`, a list of paths). The document that pandoc has read is the preface;
-- its metadata holds the words of its language. All paths begin at the repository's top directory, which must be
-- the working directory.

local stringify = pandoc.utils.stringify
local has_details = FORMAT:match '^html' ~= nil -- many EPUB readers cannot fold
local words -- the metadata
local chapters = {} -- by path: slug, ids (a set), title, blocks

local function read_file(path)
    local file = assert(io.open(path))
    local text = file:read 'a'
    file:close()
    return text
end

local function exists(path)
    local file = io.open(path)
    return file ~= nil and file:close()
end

local function folder_of(path)
    return path:match '^(.*/)' or ''
end

-- join('lab05-epoll/', '../README.md') is 'README.md'
local function join(folder, name)
    local path, count = folder .. name
    repeat
        path, count = path:gsub('[^/]+/%.%./', '', 1)
    until count == 0
    return path
end

local function read_chapter(path)
    local folder = folder_of(path)
    local chapter = { slug = folder == '' and 'course' or folder:sub(1, -2), ids = {} }
    chapter.blocks = pandoc.read(read_file(path), 'gfm').blocks
    chapter.blocks = chapter.blocks:walk {
        Header = function(header)
            chapter.ids[header.identifier] = true
            if header.level == 1 then
                chapter.title = header.content
                header.identifier = chapter.slug
            else
                header.identifier = chapter.slug .. '-' .. header.identifier
            end
            return header
        end,
    }
    return chapter
end

-- The second block of a page (its third line) leads to the other language's.
local function is_link_to_other_language(block)
    local link = block.t == 'Para' and #block.content == 1 and block.content[1]
    return link and link.t == 'Link' and link.target:match '^README[%.a-z]*%.md$'
end

-- Links within the repository become links within the book, or the path of the file.
local function book_link(path, link)
    local name, anchor = link.target:match '^([^#]*)#?(.*)$'
    if link.target:match '^%a+:' then
        return nil
    end
    local file = name == '' and path or join(folder_of(path), name)
    local chapter = chapters[file]
    if chapter then
        if anchor ~= '' and not chapter.ids[anchor] then
            error(path .. ': ' .. link.target .. ': there is no such heading')
        end
        link.target = '#' .. chapter.slug .. (anchor ~= '' and '-' .. anchor or '')
        return link
    end
    if not exists(file) then
        error(path .. ': ' .. link.target .. ': there is no such file')
    end
    if file == 'LICENSE' then
        link.target = '#licence'
        return link
    end
    local text = stringify(link)
    if text == name or file:sub(1, #text) == text then -- its name, or the directory that it is in
        return pandoc.Code(file)
    end
    link.content:extend { pandoc.Str(words['space-before-path'] and ' (' or '('), pandoc.Code(file), pandoc.Str ')' }
    return link.content
end

-- In a shell session, the commands are set in bold.
local function listing(block)
    if block.classes[1] ~= 'console' then
        if #block.classes == 0 then
            block.classes = { 'drawing' }
        end
        return block
    end
    local lines = {}
    for line in (block.text .. '\n'):gmatch '(.-)\n' do
        line = line:gsub('[&<>]', { ['&'] = '&amp;', ['<'] = '&lt;', ['>'] = '&gt;' })
        lines[#lines + 1] = line:match '^[$] ' and '<b>' .. line .. '</b>' or line
    end
    return pandoc.RawBlock('html', '<pre class="console"><code>' .. table.concat(lines, '\n') .. '</code></pre>')
end

local function table_block(block)
    for i, spec in ipairs(block.colspecs) do
        block.colspecs[i] = { spec[1], nil } -- the browser chooses the widths
    end
    local empty = true
    for _, row in ipairs(block.head.rows) do
        for _, cell in ipairs(row.cells) do
            empty = empty and stringify(cell.contents) == ''
        end
    end
    if empty then
        block.head.rows = {}
    end
    return pandoc.Div(block, { class = #block.colspecs > 4 and 'table wide' or 'table' })
end

local function finish_blocks(path, blocks)
    return blocks:walk {
        Link = function(link) return book_link(path, link) end,
        Image = function(image)
            image.src = join(folder_of(path), image.src)
            return image
        end,
        CodeBlock = listing,
        Table = table_block,
        Para = function(para)
            if #para.content == 1 and para.content[1].t == 'Image' then
                return pandoc.Div(pandoc.Plain(para.content), { class = 'picture' })
            end
        end,
    }
end

local function anchor_link(text, target, id)
    return pandoc.Link(text, '#' .. target, '', { id = id })
end

-- Without <details>, the answers to unfold go to the end of the chapter, and the questions link to them.
local function answers_last(slug, blocks)
    local text, answers = pandoc.Blocks {}, pandoc.Blocks {}
    local section, number, answer, list
    for _, block in ipairs(blocks) do
        local summary = block.t == 'RawBlock' and block.text:match '^<details><summary>(.-)</summary>%s*$'
        if block.t == 'Header' and block.level <= 2 then
            section, number, list = block, nil, nil
        elseif block.t == 'OrderedList' then
            number = block.start + #block.content - 1
        end
        if summary then
            if not number or answer then
                error(slug .. ': an answer without a question')
            end
            local id = section.identifier .. '-' .. number
            text:insert(pandoc.Para { anchor_link(summary, id .. '-answer', id) })
            if not list then
                answers:insert(pandoc.Header(3, section.content, { id = section.identifier .. '-answers' }))
            end
            if not list or list.start + #list.content ~= number then
                list = pandoc.OrderedList({}, { number, 'Decimal', 'Period' })
                answers:insert(list)
            end
            answer = { id = id, blocks = pandoc.Blocks {} }
        elseif block.t == 'RawBlock' and block.text:match '^</details>%s*$' then
            answer.blocks:insert(pandoc.Para { anchor_link(stringify(words.back), answer.id) })
            list.content:insert { pandoc.Div(answer.blocks, { id = answer.id .. '-answer' }) }
            answer = nil
        elseif answer then
            answer.blocks:insert(block)
        else
            text:insert(block)
        end
    end
    if #answers > 0 then
        text:insert(pandoc.Header(2, words.answers, { id = slug .. '-answers' }))
        text:extend(answers)
    end
    return text
end

-- Takes a section of level 2, which becomes a chapter of its own, out of the blocks.
local function take_section(blocks, id)
    local rest, section, within = pandoc.Blocks {}, pandoc.Blocks {}, false
    for _, block in ipairs(blocks) do
        if block.t == 'Header' and block.level <= 2 then
            within = block.identifier == id
        end
        if within and block.t == 'Header' then
            block.level = block.level - 1
        end
        (within and section or rest):insert(block)
    end
    if #section == 0 then
        error('there is no section ' .. id)
    end
    return rest, section
end

function Pandoc(document)
    words = document.meta
    local pages = {}
    for i, page in ipairs(words.page) do
        pages[i] = stringify(page)
        chapters[pages[i]] = read_chapter(pages[i])
    end
    local book, appendices = document.blocks, pandoc.Blocks {}
    for i, path in ipairs(pages) do
        local chapter = chapters[path]
        local blocks = chapter.blocks
        if is_link_to_other_language(blocks[2]) then
            blocks:remove(2)
        end
        blocks = finish_blocks(path, blocks)
        if not has_details then
            blocks = answers_last(chapter.slug, blocks)
        end
        if i == 1 then
            words.title = chapter.title
            blocks[1].content = words.introduction
            for _, id in ipairs(words.appendices) do
                local section
                blocks, section = take_section(blocks, chapter.slug .. '-' .. stringify(id))
                appendices:extend(section)
            end
        end
        book:extend(blocks)
    end
    book:extend(appendices)
    book:insert(pandoc.Header(1, words.licence, { id = 'licence' }))
    book:extend(pandoc.read(read_file 'LICENSE', 'gfm').blocks)
    return pandoc.Pandoc(book, words)
end
